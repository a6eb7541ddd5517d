"""System checks: what must hold on this machine before anything is minted.

The database's run where Django runs such: ``migrate`` and ``check --database default``. Those
that ask the chain are minting's.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 — Django's own name
from django.db import OperationalError, connections

OLDEST = 150_000
"""PostgreSQL 15, as ``server_version_num`` counts."""

CLOCK_MAY_DIFFER = 5
"""Seconds between this machine and the database, whose clock leases and ages are judged by."""


def check_database(*, databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """A journal is worth what its server keeps: not too old, and committed means on disk."""
    if not databases or "default" not in databases:
        return []
    try:
        version, fsync, synchronous_commit, clock = _ask_database()
    except OperationalError as error:
        return [
            Error(
                f"The database does not answer: {error}",
                hint="Start it, or correct DATABASE_URL.",
                id="gridtoken.E004",
            )
        ]
    problems: list[CheckMessage] = _apart(time.time() - clock)
    if version < OLDEST:
        problems.append(
            Error(
                f"PostgreSQL {version // 10_000} is too old: 15 or later",
                hint="Upgrade the server, then run `migrate`.",
                id="gridtoken.E001",
            )
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


def _ask_database() -> tuple[int, str, str, float]:
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('server_version_num')::int, current_setting('fsync'),"
            " current_setting('synchronous_commit'), extract(epoch FROM clock_timestamp())::float8"
        )
        answer: tuple[int, str, str, float] = cursor.fetchone()
    return answer


def _apart(seconds: float) -> list[CheckMessage]:
    if abs(seconds) <= CLOCK_MAY_DIFFER:
        return []
    word = "ahead of" if seconds > 0 else "behind"
    return [
        Warning(
            f"This machine's clock is {abs(seconds):.0f} s {word} the database's",
            hint="Let both follow a time server (chrony, systemd-timesyncd).",
            id="gridtoken.W002",
        )
    ]


def check_second_factor(**_: Any) -> list[CheckMessage]:
    """A password alone is what is stolen first; ``check --deploy`` says so."""
    if settings.STAFF_MFA_REQUIRED:
        return []
    return [
        Warning(
            "Staff may log in by a password alone",
            hint="Leave STAFF_MFA_REQUIRED out, or set it to true.",
            id="gridtoken.W003",
        )
    ]


def check_queue(**_: Any) -> list[CheckMessage]:
    """django-q2's timing: each of these, broken, runs tasks twice or never stops them."""
    queue = settings.Q_CLUSTER
    rules = (
        (queue["retry"] > 3 * queue["timeout"], "retry must be more than three times timeout"),
        ((queue["timeout"] + 3) % queue["guard_cycle"] == 0, "guard_cycle must divide timeout + 3"),
        (queue["queue_limit"] == 1 and queue["bulk"] == 1, "queue_limit and bulk must be 1"),
    )
    return [
        Error(
            f"Q_CLUSTER: {sentence}",
            hint="gridtoken/settings.py says beside each value what it prevents.",
            id="gridtoken.E003",
        )
        for holds, sentence in rules
        if not holds
    ]


def check_signer(**_: Any) -> list[CheckMessage]:
    """Keys that sign are for their owner's eyes; that they are absent (web) is as it should be.

    What systemd hands over (``LoadCredential``) only we see, in a mount of our own; newer ones give
    the right by an access list, which shows as the group's.
    """
    handed_over = os.environ.get("CREDENTIALS_DIRECTORY")
    signers: dict[str, Path] = settings.MINT_PROGRAM_SIGNERS
    keys: dict[str, Path | None] = {"MINT_AUTHORITY_KEYPAIR": settings.MINT_AUTHORITY_KEYPAIR}
    keys |= {f"MINT_PROGRAM_SIGNERS, {name}": path for name, path in signers.items()}
    for name in ("VAULT_TOKEN_FILE", "VAULT_SECRET_ID_FILE"):
        keys[name] = getattr(settings, name)
    return _vault_in_the_clear() + [
        Warning(f"{name}: others may open {path}", hint=f"chmod 600 {path}", id="gridtoken.W001")
        for name, path in keys.items()
        if path is not None
        if handed_over is None or not path.is_relative_to(handed_over)
        if _mode(path) & (stat.S_IRWXG | stat.S_IRWXO)
    ]


def _mode(path: Path) -> int:
    """Who may do what; nobody anything with a file that is not there, or hidden from us."""
    try:
        return path.stat().st_mode
    except OSError:
        return 0


def _vault_in_the_clear() -> list[CheckMessage]:
    """Over plain HTTP anybody on the way reads the token, and may then sign."""
    vault = urlsplit(settings.VAULT_ADDR or "")
    if vault.scheme != "http" or vault.hostname in ("localhost", "127.0.0.1", "::1"):
        return []
    hint = "Give Vault a certificate, and VAULT_ADDR https://"
    return [Warning("VAULT_ADDR: tokens travel unencrypted", hint=hint, id="gridtoken.W004")]
