"""A remote signer is asked now and then, so that its token lives through a quiet weekend."""

from __future__ import annotations

import structlog

from minting.engine.errors import MintingRefused, SignerUnavailable
from minting.service.chain.session import Session

log = structlog.get_logger(__name__)


def tend_signer(session: Session) -> str:
    """Renews the right to ask, where there is one; what is wrong shows before a batch needs it.

    Returns:
        ``keeps``, ``nobody asked`` (the key is a file) or the code of what is wrong.
    """
    if session.config.signing.kind == "keypair":
        return "nobody asked"
    try:
        session.tend_signer()
    except (MintingRefused, SignerUnavailable) as error:
        log.warning("signer_not_well", code=error.code, reason=str(error))
        return error.code
    return "keeps"
