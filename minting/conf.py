"""The settings that minting uses, read in one place and passed in from there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

from django.conf import settings
from solders.pubkey import Pubkey

from minting.cluster.signers import SignerSettings, VaultSettings, address_of
from minting.engine.approval import ApprovalPolicy
from minting.engine.errors import MintingRefused
from minting.engine.idl import Idl, read_idl
from minting.engine.polling import PollingPolicy
from minting.engine.programs.anchor import AnchorSettings
from minting.engine.programs.anchor_accounts import Role, Setting
from minting.engine.retries import RetryPolicy
from minting.engine.types import Commitment


@dataclass(frozen=True, slots=True)
class MintingConfig:
    """contract.md, "Environment", as values; a unit stands in each name or beside it."""

    rpc_urls: tuple[str, ...] = field(repr=False)
    """Not shown: providers put keys into paths."""
    rpc_max_per_second: float | None
    """Requests of all processes that share ``rpc_turns``."""
    rpc_turns: Path
    """Where the last of their turns is kept."""
    genesis_hash: str | None
    commitment: Commitment
    """What makes a result succeed."""
    signing: SignerSettings
    authority_address: Pubkey | None
    mint_address: Pubkey | None
    max_batch_size: int
    max_tokens_per_transaction: int
    """Base units."""
    concurrent_batches: int
    fee_estimation_enabled: bool
    transaction_version: str
    """``auto``, ``0`` or ``1``."""
    priority_fee: int | None
    """Micro-lamports per compute unit; ``None`` stands for ``auto``."""
    max_priority_fee: int
    """Lamports a transaction."""
    ratio: Decimal
    """Tokens per kWh."""
    decimals: int
    journal_dir: Path
    retry: RetryPolicy
    max_kwh_per_day: Decimal | None
    approval: ApprovalPolicy
    program: AnchorSettings | None
    """``None`` mints directly (``spl-token``)."""
    cosigners: Mapping[str, Path]
    """Keypair files of other signers, by the account that they sign for."""

    def need_mint(self) -> Pubkey:
        """The mint's address.

        Raises:
            MintingRefused: ``ENERGY_TOKEN_MINT`` is not set.
        """
        if self.mint_address is None:
            raise MintingRefused("ENERGY_TOKEN_MINT is not set: `manage.py create_mint` makes one")
        return self.mint_address

    def need_authority(self) -> Pubkey:
        """The mint authority's address, which also pays.

        Raises:
            MintingRefused: neither ``MINT_AUTHORITY_ADDRESS`` nor a keypair is set, or Vault does
                not tell.
            SignerUnavailable: Vault does not answer; it is asked once a process, and only where
                ``MINT_AUTHORITY_ADDRESS`` is not set.
        """
        if self.authority_address is None and self.signing.kind == "vault":
            return address_of(self.signing.vault)
        if self.authority_address is None:
            raise MintingRefused("Neither MINT_AUTHORITY_ADDRESS nor MINT_AUTHORITY_KEYPAIR is set")
        return self.authority_address


def current() -> MintingConfig:
    """The settings of now; tests may override them, so nothing is kept."""
    return MintingConfig(
        rpc_urls=tuple(settings.SOLANA_RPC_URLS),
        rpc_max_per_second=settings.SOLANA_RPC_MAX_PER_SECOND,
        rpc_turns=Path(settings.DATA_DIR) / "rpc-turns",
        genesis_hash=settings.SOLANA_GENESIS_HASH,
        commitment=Commitment(settings.SOLANA_COMMITMENT),
        signing=_signing(),
        authority_address=_authority(),
        mint_address=_address(settings.ENERGY_TOKEN_MINT),
        max_batch_size=settings.BLOCKCHAIN_MAX_BATCH_SIZE,
        max_tokens_per_transaction=settings.BLOCKCHAIN_MAX_TOKENS_PER_TRANSACTION,
        concurrent_batches=settings.BLOCKCHAIN_CONCURRENT_BATCHES,
        fee_estimation_enabled=settings.BLOCKCHAIN_FEE_ESTIMATION_ENABLED,
        transaction_version=settings.BLOCKCHAIN_TRANSACTION_VERSION,
        priority_fee=_bid(settings.BLOCKCHAIN_PRIORITY_FEE),
        max_priority_fee=settings.BLOCKCHAIN_MAX_PRIORITY_FEE,
        ratio=settings.TOKENIZATION_KWH_TO_TOKEN_RATIO,
        decimals=settings.TOKENIZATION_DECIMALS,
        journal_dir=Path(settings.MINT_JOURNAL_DIR),
        retry=_retry(),
        max_kwh_per_day=settings.MINT_MAX_KWH_PER_DAY,
        approval=approval_policy(),
        program=program(),
        cosigners=_cosigners(),
    )


def approval_policy() -> ApprovalPolicy:
    """What needs a second person."""
    return ApprovalPolicy(
        above_kwh=settings.APPROVAL_ABOVE_KWH,
        above_lamports=settings.APPROVAL_ABOVE_LAMPORTS,
        expires_after=timedelta(hours=settings.APPROVAL_EXPIRES_HOURS),
    )


def polling_policy() -> PollingPolicy:
    """Whether and how often this process polls, and what is too little to be minted."""
    return PollingPolicy(
        enabled=settings.TOKENIZATION_AUTO_MINT_ENABLED,
        interval=timedelta(seconds=settings.TOKENIZATION_POLLING_INTERVAL_SECS),
        threshold_kwh=settings.TOKENIZATION_MINT_THRESHOLD_KWH,
    )


def program() -> AnchorSettings | None:
    """The program that mints, by its IDL and what settings say besides.

    Raises:
        MintingRefused: In one line: the file, the setting or the account that is wrong.
    """
    if settings.MINT_PROGRAM != "anchor" or settings.MINT_PROGRAM_IDL is None:
        return None
    path = Path(settings.MINT_PROGRAM_IDL)
    try:
        idl = _idl(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise MintingRefused(f"MINT_PROGRAM_IDL {path}: {error.strerror}") from error
    except MintingRefused as refused:
        raise MintingRefused(f"MINT_PROGRAM_IDL {path}: {refused}") from refused
    address = _address(settings.MINT_PROGRAM_ID) or idl.address
    if address is None:
        raise MintingRefused("MINT_PROGRAM_ID is not set, and the IDL does not name the program")
    found = AnchorSettings(idl, address, settings.MINT_PROGRAM_INSTRUCTION, _accounts())
    found.check()
    return found


@lru_cache(maxsize=4)
def _idl(path: Path, changed: int) -> Idl:
    """Kept until the file changes: settings are asked for at every turn."""
    del changed
    return read_idl(path.read_bytes())


def _accounts() -> dict[str, Setting]:
    """What settings say of the instruction's accounts; a signer's address is that of its key."""
    given_accounts: Mapping[str, str] = settings.MINT_PROGRAM_ACCOUNTS
    found = {name: Setting(_source(name, text)) for name, text in given_accounts.items()}
    for name, file in _cosigners().items():
        address = public_half(file)
        given = found.get(name)
        if address is None and given is None:
            raise MintingRefused(
                f"MINT_PROGRAM_SIGNERS: the key of {name} cannot be read from {file}; where it "
                "need not be, MINT_PROGRAM_ACCOUNTS names its address"
            )
        if address is not None and given is not None and given.source != address:
            raise MintingRefused(
                f"MINT_PROGRAM_SIGNERS: the key of {name} is {address}'s, "
                f"MINT_PROGRAM_ACCOUNTS says {given.source}"
            )
        if address is not None:
            found[name] = Setting(address)
    return found


def _source(name: str, text: str) -> Pubkey | Role:
    try:
        return Role(text) if text in set(Role) else Pubkey.from_string(text)
    except ValueError:
        known = ", ".join(sorted(Role))
        raise MintingRefused(
            f"MINT_PROGRAM_ACCOUNTS: {name} must be a Solana address or one of {known}, not {text}"
        ) from None


def _cosigners() -> dict[str, Path]:
    return {name: Path(file) for name, file in settings.MINT_PROGRAM_SIGNERS.items()}


def _retry() -> RetryPolicy:
    enabled = settings.BLOCKCHAIN_BATCH_RETRY_ENABLED
    return RetryPolicy(
        max_attempts=settings.TOKENIZATION_MAX_RETRY_ATTEMPTS if enabled else 0,
        initial_delay=settings.TOKENIZATION_INITIAL_RETRY_DELAY_SECS,
        multiplier=settings.TOKENIZATION_RETRY_BACKOFF_MULTIPLIER,
        max_delay=settings.TOKENIZATION_MAX_RETRY_DELAY_SECS,
    )


def _signing() -> SignerSettings:
    return SignerSettings(
        kind=settings.MINT_SIGNER,
        keypair=Path(settings.MINT_AUTHORITY_KEYPAIR) if settings.MINT_AUTHORITY_KEYPAIR else None,
        vault=VaultSettings(
            address=settings.VAULT_ADDR,
            key=settings.VAULT_TRANSIT_KEY,
            mount=settings.VAULT_TRANSIT_MOUNT,
            namespace=settings.VAULT_NAMESPACE or None,
            ca_file=settings.VAULT_CACERT,
            timeout=float(settings.VAULT_TIMEOUT_SECS),
            token=settings.VAULT_TOKEN,
            token_file=settings.VAULT_TOKEN_FILE,
            role_id=settings.VAULT_ROLE_ID,
            secret_id=settings.VAULT_SECRET_ID,
            secret_id_file=settings.VAULT_SECRET_ID_FILE,
            approle_mount=settings.VAULT_APPROLE_MOUNT,
        ),
        address=_address(settings.MINT_AUTHORITY_ADDRESS),
    )


def _authority() -> Pubkey | None:
    """``MINT_AUTHORITY_ADDRESS``, else the public half of the keypair file, if that can be read.

    A web process may lack the right to read the key; then it needs the address.
    """
    if settings.MINT_AUTHORITY_ADDRESS:
        return Pubkey.from_string(settings.MINT_AUTHORITY_ADDRESS)
    if settings.MINT_SIGNER != "keypair" or not settings.MINT_AUTHORITY_KEYPAIR:
        return None
    # Whoever opens the key to sign says what is wrong with it; to show, it is just unknown.
    return public_half(Path(settings.MINT_AUTHORITY_KEYPAIR))


def public_half(file: Path) -> Pubkey | None:
    """The address that a Solana CLI keypair file ends with; ``None`` if it cannot be read."""
    try:
        return Pubkey(bytes(json.loads(file.read_bytes())[32:]))
    except (OSError, ValueError, TypeError):
        return None


def _bid(setting: int | str | None) -> int | None:
    """A fixed bid, or ``None`` for ``auto``."""
    return setting if isinstance(setting, int) else None


def _address(text: str | None) -> Pubkey | None:
    return Pubkey.from_string(text) if text else None
