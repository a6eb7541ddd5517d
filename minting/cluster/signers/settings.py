"""What tells where the key is, and how whoever holds it is asked; secrets stay out of ``repr``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from solders.pubkey import Pubkey


@dataclass(frozen=True, slots=True)
class VaultSettings:
    """A key of Vault's transit engine, and by what right it is used."""

    address: str | None
    """URL of the server (``VAULT_ADDR``)."""
    key: str | None
    """Name of the transit key."""
    mount: str = "transit"
    namespace: str | None = None
    ca_file: Path | None = None
    """Certificates to trust instead of the machine's."""
    timeout: float = 5.0
    """Seconds for a question with all its repetitions."""
    token: str = field(default="", repr=False)
    token_file: Path | None = None
    """Read anew whenever its token is not taken any more."""
    role_id: str = field(default="", repr=False)
    secret_id: str = field(default="", repr=False)
    secret_id_file: Path | None = None
    approle_mount: str = "approle"


@dataclass(frozen=True, slots=True)
class SignerSettings:
    """Which signer, and what either needs."""

    kind: str = "keypair"
    keypair: Path | None = None
    """The Solana CLI keypair file."""
    vault: VaultSettings = VaultSettings(None, None)
    address: Pubkey | None = None
    """The authority's, if it is configured; a remote key has to be its."""
