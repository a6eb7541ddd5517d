"""Whoever holds the key of the mint authority."""

from __future__ import annotations

from functools import lru_cache

from solders.pubkey import Pubkey

from minting.cluster.signers.keypair import KeypairSigner
from minting.cluster.signers.settings import SignerSettings, VaultSettings
from minting.cluster.signers.vault import VaultSigner
from minting.engine.errors import MintingRefused
from minting.engine.types import Signer

__all__ = [
    "KeypairSigner",
    "SignerSettings",
    "VaultSettings",
    "VaultSigner",
    "address_of",
    "open_signer",
]


def open_signer(settings: SignerSettings) -> Signer:
    """The signer that ``MINT_SIGNER`` names. A remote one is asked for its key.

    Raises:
        MintingRefused: An unknown kind, or a key that cannot be used; in one line.
        SignerUnavailable: Whoever holds the key does not answer now.
    """
    if settings.kind == "vault":
        return VaultSigner.open(settings.vault, settings.address)
    if settings.kind != "keypair":
        raise MintingRefused(f"MINT_SIGNER is {settings.kind!r}; known are: keypair, vault")
    if not settings.keypair:
        raise MintingRefused("MINT_AUTHORITY_KEYPAIR is not set; MINT_SIGNER=keypair needs it")
    return KeypairSigner.load(settings.keypair)


@lru_cache(maxsize=8)
def address_of(settings: VaultSettings) -> Pubkey:
    """The address of Vault's key; asked once a process, for a version's key never changes.

    Raises:
        SignerRefused, SignerUnavailable: as ``VaultSigner.open``.
    """
    signer = VaultSigner.open(settings)
    signer.close()
    return signer.address
