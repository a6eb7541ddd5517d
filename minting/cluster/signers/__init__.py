"""Whoever holds the key of the mint authority."""

from __future__ import annotations

from pathlib import Path

from minting.cluster.signers.keypair import KeypairSigner
from minting.engine.errors import MintingRefused
from minting.engine.types import Signer

__all__ = ["KeypairSigner", "open_signer"]


def open_signer(kind: str, *, keypair_path: Path | str | None = None) -> Signer:
    """The signer that ``MINT_SIGNER`` names.

    Args:
        kind: ``keypair``.
        keypair_path: The Solana CLI keypair file of a ``keypair`` signer.

    Raises:
        MintingRefused: An unknown kind, or a key that cannot be read; in one line.
    """
    if kind != "keypair":
        raise MintingRefused(f"MINT_SIGNER is {kind!r}; known is: keypair")
    if not keypair_path:
        raise MintingRefused("MINT_AUTHORITY_KEYPAIR is not set; MINT_SIGNER=keypair needs it")
    return KeypairSigner.load(keypair_path)
