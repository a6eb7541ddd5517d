"""Deploy checks that ask the chain (``check --deploy``): cluster, mint, authority, decimals."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 (Django's own name)

from minting.engine.errors import MintingRefused, SignerUnavailable, SolanaError
from minting.service.chain.preflight import inspect_patiently
from minting.service.chain.session import open_session


def check_chain(**_: Any) -> list[CheckMessage]:
    """Wrong is an error; silent nodes are a warning."""
    try:
        with open_session() as session:
            found = inspect_patiently(session)
    except (MintingRefused, SolanaError, SignerUnavailable) as error:
        return [Error(str(error), id="minting.E001")]
    if found is None:
        return [Warning("No node answers; the mint was not checked", id="minting.W001")]
    return []
