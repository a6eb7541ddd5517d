"""System checks: what must hold on this machine before anything is minted.

The database's run where Django runs such: ``migrate`` and ``check --database default``. Those
that ask the chain are minting's.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 — Django's own name
from django.db import connections

OLDEST = 150_000
"""PostgreSQL 15, as ``server_version_num`` counts."""


def check_database(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """A journal is worth what its server keeps: not too old, and committed means on disk."""
    if not databases or "default" not in databases:
        return []
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('server_version_num')::int, current_setting('fsync'),"
            " current_setting('synchronous_commit')"
        )
        version, fsync, synchronous_commit = cursor.fetchone()
    problems: list[CheckMessage] = []
    if version < OLDEST:
        problems.append(
            Error(f"PostgreSQL {version // 10_000} is too old: 15 or later", id="gridtoken.E001")
        )
    if settings.ALLOW_VOLATILE_DATABASE:
        return problems
    for name, value in (("fsync", fsync), ("synchronous_commit", synchronous_commit)):
        if value == "off":
            problems.append(
                Error(
                    f"PostgreSQL runs with {name} off",
                    hint="A crash would forget transactions that were sent. Turn it on.",
                    id="gridtoken.E002",
                )
            )
    return problems


def check_queue(**_: Any) -> list[CheckMessage]:
    """django-q2's timing: each of these, broken, runs tasks twice or never stops them."""
    queue = settings.Q_CLUSTER
    rules = (
        (queue["retry"] > 3 * queue["timeout"], "retry must be more than three times timeout"),
        ((queue["timeout"] + 3) % queue["guard_cycle"] == 0, "guard_cycle must divide timeout + 3"),
        (queue["queue_limit"] == 1 and queue["bulk"] == 1, "queue_limit and bulk must be 1"),
    )
    return [
        Error(f"Q_CLUSTER: {sentence}", id="gridtoken.E003")
        for holds, sentence in rules
        if not holds
    ]


def check_signer(**_: Any) -> list[CheckMessage]:
    """Keys that sign are for their owner's eyes; that they are absent (web) is as it should be."""
    signers: dict[str, Path] = settings.MINT_PROGRAM_SIGNERS
    keys: dict[str, Path | None] = {"MINT_AUTHORITY_KEYPAIR": settings.MINT_AUTHORITY_KEYPAIR}
    keys |= {f"MINT_PROGRAM_SIGNERS, {name}": path for name, path in signers.items()}
    for name in ("VAULT_TOKEN_FILE", "VAULT_SECRET_ID_FILE"):
        keys[name] = getattr(settings, name)
    vault = urlsplit(settings.VAULT_ADDR or "")
    open_line = vault.scheme == "http" and vault.hostname not in ("localhost", "127.0.0.1", "::1")
    unsafe: list[CheckMessage] = [
        Warning(
            "VAULT_ADDR: tokens travel unencrypted",
            hint="Give Vault a certificate, and VAULT_ADDR https://",
            id="gridtoken.W002",
        )
    ]
    return (unsafe if open_line else []) + [
        Warning(f"{name}: others may open {path}", hint=f"chmod 600 {path}", id="gridtoken.W001")
        for name, path in keys.items()
        if path is not None and path.exists()
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    ]
