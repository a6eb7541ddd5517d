"""By what right Vault is asked: a token, a file that somebody keeps a token in, or an AppRole."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from minting.cluster.signers.settings import VaultSettings
from minting.engine.errors import SignerRefused

log = structlog.get_logger(__name__)

PART = 2 / 3
"""Of a token's life, after which it is renewed."""

AGAIN = 60.0
"""Seconds after which a token that was not renewed is tried again."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A token that is in use."""

    token: str = field(repr=False)
    renewable: bool
    renew_at: float | None
    """Monotonic seconds; ``None``: it does not end, or nobody knows when."""

    @classmethod
    def of(cls, token: str, seconds: int | None, *, renewable: bool) -> Lease:
        """A token with ``seconds`` to live; ``None`` stands for ever."""
        if seconds is None:
            return cls(token, renewable, None)
        return cls(token, renewable, time.monotonic() + seconds * PART)

    @property
    def is_due(self) -> bool:
        """Whether to renew or replace it before it is used."""
        return self.renew_at is not None and time.monotonic() >= self.renew_at


def log_in(client: Any, settings: VaultSettings) -> Lease:
    """Gives the client a token.

    Args:
        client: hvac's.
        settings: Where the right comes from.

    Raises:
        SignerRefused: There is none, or Vault does not take it.
        SignerUnavailable: Vault does not answer.
    """
    if settings.role_id:
        secret_id = settings.secret_id or _read("VAULT_SECRET_ID_FILE", settings.secret_id_file)
        return _leased(
            client.auth.approle.login(
                role_id=settings.role_id,
                secret_id=secret_id or None,
                mount_point=settings.approle_mount,
            )
        )
    client.token = settings.token or _read("VAULT_TOKEN_FILE", settings.token_file)
    if not client.token:
        raise SignerRefused(
            "Vault is not asked without a right: set VAULT_TOKEN, VAULT_TOKEN_FILE or VAULT_ROLE_ID"
        )
    try:
        about = client.auth.token.lookup_self()["data"]
    except SignerRefused:
        # A policy may forbid the question; whether the token is good shows when it is used.
        return Lease(client.token, renewable=False, renew_at=None)
    seconds = None if about.get("expire_time") is None else int(about["ttl"])
    return Lease.of(client.token, seconds, renewable=bool(about.get("renewable")))


def renew(client: Any, settings: VaultSettings, lease: Lease) -> Lease:
    """A longer life for the token in use, else another one.

    Raises:
        SignerUnavailable: Vault does not answer.
    """
    try:
        if lease.renewable:
            return _leased(client.auth.token.renew_self())
        if may_log_in_again(settings, lease):
            return log_in(client, settings)
    except SignerRefused as refused:
        if may_log_in_again(settings, lease):
            return log_in(client, settings)
        log.warning("vault_token_not_renewed", reason=str(refused))
    else:
        log.warning("vault_token_ends", reason="it cannot be renewed; give VAULT_TOKEN another one")
    return Lease(lease.token, lease.renewable, time.monotonic() + AGAIN)


def may_log_in_again(settings: VaultSettings, lease: Lease) -> bool:
    """Whether there may be a better token than the one in use."""
    if settings.role_id:
        return True
    file = None if settings.token else settings.token_file
    try:
        return file is not None and _read("VAULT_TOKEN_FILE", file) != lease.token
    except SignerRefused:
        return False


def _leased(answer: dict[str, Any]) -> Lease:
    auth = answer["auth"]
    seconds = int(auth["lease_duration"]) or None
    return Lease.of(auth["client_token"], seconds, renewable=bool(auth["renewable"]))


def _read(variable: str, file: Path | None) -> str:
    """What a file holds; nothing of it is ever quoted."""
    if file is None:
        return ""
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SignerRefused(f"{variable} {file}: {why}") from None
