"""The environment: read in one place, checked, refused in one line.

Every variable is declared where ``gridtoken.settings`` reads it. ``.env`` in the checkout is read
first (``ENV_FILE`` names another file, or none); what the process was given wins over it.
"""

from __future__ import annotations

import io
import ipaddress
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TypeVar, overload
from urllib.parse import unquote, urlsplit

import environ
import psycopg
from psycopg.conninfo import conninfo_to_dict
from solders.hash import Hash
from solders.pubkey import Pubkey

BASE_DIR = Path(__file__).resolve().parent.parent

T = TypeVar("T")


class WrongVariableError(SystemExit):
    """Ends the start with one line on stderr and exit code 1, under any server or command."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """Who takes our mail."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    starttls: bool
    """Encrypted after a greeting in plain text."""
    tls: bool
    """Encrypted from the first byte."""


class Environment:
    """Typed readers; an empty variable is one that is not set."""

    def __init__(self, variables: dict[str, str]) -> None:
        self._variables = variables
        self.declared: dict[str, str] = {}
        """Name to default as ``.env.example`` shows it; empty where there is none."""

    # -------------------------------------------------------------- plain values
    def text(self, name: str, default: str = "", *, shown: str | None = None) -> str:
        """Any text. ``shown`` is what documents show where the default is worked out here."""
        self.declared[name] = default if shown is None else shown
        return self._variables.get(name, "").strip() or default

    def flag(self, name: str, *, default: bool, shown: str | None = None) -> bool:
        """``true`` or ``false``, and what people write for them."""
        text = self.text(name, str(default).lower(), shown=shown).lower()
        if text in environ.Env.BOOLEAN_TRUE_STRINGS:
            return True
        if text in ("false", "off", "n", "no", "0"):
            return False
        raise self.refused(name, "true or false")

    def choice(self, name: str, default: str, *others: str) -> str:
        """One of a few words."""
        text = self.text(name, default)
        if text not in (default, *others):
            raise self.refused(name, " or ".join((default, *others)))
        return text

    @overload
    def whole(self, name: str, default: int, *, least: int = ..., most: int = ...) -> int: ...
    @overload
    def whole(
        self, name: str, default: None = None, *, least: int = ..., most: int = ...
    ) -> int | None: ...
    def whole(
        self, name: str, default: int | None = None, *, least: int = 1, most: int = 2**64 - 1
    ) -> int | None:
        """A whole number, above zero unless ``least`` says otherwise."""
        text = self.text(name, "" if default is None else str(default))
        return self._whole(name, text, least, most) if text else None

    def whole_or_auto(self, name: str, default: int) -> int | str:
        """A whole number, zero too, or ``auto``."""
        text = self.text(name, str(default))
        if text == "auto":
            return text
        return self._whole(name, text, 0, 2**64 - 1, instead="auto")

    @overload
    def decimal(self, name: str, default: str, *, least: int | None = ...) -> Decimal: ...
    @overload
    def decimal(
        self, name: str, default: None = None, *, least: int | None = ...
    ) -> Decimal | None: ...
    def decimal(
        self, name: str, default: str | None = None, *, least: int | None = None
    ) -> Decimal | None:
        """A decimal number above zero, or from ``least`` on, exactly as written."""
        text = self.text(name, default or "")
        if not text:
            return None
        allowed = "a number above 0" if least is None else f"a number from {least} on"
        try:
            number = Decimal(text)
        except InvalidOperation:
            raise self.refused(name, allowed) from None
        if not number.is_finite() or (number <= 0 if least is None else number < least):
            raise self.refused(name, allowed)
        return number

    def rate(self, name: str, default: str) -> tuple[int, int]:
        """So many in so many seconds, as ``6000/min`` or ``100/s``."""
        text = self.text(name, default)
        match = re.fullmatch(r"([1-9][0-9]{0,8})/(s|sec|min|hour|day)", text)
        if not match:
            raise self.refused(name, "a number by s, min, hour or day (6000/min)")
        seconds = {"s": 1, "sec": 1, "min": 60, "hour": 3_600, "day": 86_400}
        return int(match[1]), seconds[match[2]]

    # -------------------------------------------------------------- places
    def folder(self, name: str, default: Path, *, shown: str) -> Path:
        """A path; a relative one starts at the checkout, so that all commands mean the same."""
        return _path(self.text(name, str(default), shown=shown))

    def file(self, name: str) -> Path | None:
        """A path, or ``None``; whether something is there matters only to who opens it."""
        text = self.text(name)
        return _path(text) if text else None

    def named_files(self, name: str, allowed: str) -> dict[str, Path]:
        """``name=path`` words, separated by commas."""
        return {key: _path(text) for key, text in self.pairs(name, allowed).items()}

    def urls(self, name: str, default: str = "") -> list[str]:
        """``http`` or ``https`` addresses, separated by commas."""
        return [self._url(name, word) for word in self.words(name, default)]

    def url(self, name: str) -> str | None:
        """One ``http`` or ``https`` address, or ``None``."""
        text = self.text(name)
        return self._url(name, text) if text else None

    def database(self, name: str, *, shown: str) -> dict[str, str] | None:
        """The parts, named as libpq names them, of a PostgreSQL URL, or ``None``."""
        text = self.text(name, shown=shown)
        if not text:
            return None
        allowed = "a PostgreSQL URL (postgresql://user:password@host:port/name)"
        if not re.match(r"postgres(ql)?://", text):
            raise self.refused(name, allowed, secret=True)
        try:
            return {key: str(value) for key, value in conninfo_to_dict(text).items()}
        except psycopg.ProgrammingError:
            raise self.refused(name, allowed, secret=True) from None

    def broker(self, name: str) -> str | None:
        """A Redis URL, or ``None``, which stands for PostgreSQL."""
        text = self.text(name)
        if not text:
            return None
        try:
            parts = urlsplit(text)
            good = (
                parts.scheme in ("redis", "rediss")
                and bool(parts.hostname)
                and parts.port != 0
                and re.fullmatch(r"(/\d*)?", parts.path, re.ASCII) is not None
                and not parts.query
                and not parts.fragment
            )
        except ValueError:
            good = False
        if not good:
            allowed = "a Redis URL (redis://user:password@host:port/number), or empty: PostgreSQL"
            raise self.refused(name, allowed, secret=True)
        return text

    def mail(self, name: str) -> MailServer | None:
        """A mail server's URL, or ``None``."""
        text = self.text(name)
        if not text:
            return None
        try:
            parts = urlsplit(text)
            plain = {"smtp": 25, "smtp+tls": 587, "smtps": 465}[parts.scheme]
            host, port = parts.hostname, parts.port or plain
            good = bool(host) and parts.path in ("", "/") and not parts.query
        except (ValueError, KeyError):
            good = False
        if not good or not host:
            allowed = (
                "a mail server's URL (smtp://, smtp+tls:// or smtps://user:password@host:port)"
            )
            raise self.refused(name, allowed, secret=True)
        return MailServer(
            host=host,
            port=port,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            starttls=parts.scheme == "smtp+tls",
            tls=parts.scheme == "smtps",
        )

    # -------------------------------------------------------------- lists and chain values
    def words(self, name: str, default: str = "") -> list[str]:
        """Words, separated by commas."""
        return [word.strip() for word in self.text(name, default).split(",") if word.strip()]

    def pairs(self, name: str, allowed: str) -> dict[str, str]:
        """``name=value`` words, separated by commas; each name once."""
        found: dict[str, str] = {}
        for word in self.words(name):
            key, sign, value = (part.strip() for part in word.partition("="))
            if not (key and sign and value) or key in found:
                raise self.refused(name, f"{allowed}, separated by commas, each name once")
            found[key] = value
        return found

    def networks(self, name: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        """IP addresses or networks, separated by commas."""
        try:
            return [ipaddress.ip_network(word) for word in self.words(name)]
        except ValueError:
            raise self.refused(
                name, "IP addresses or networks (10.0.0.0/8), separated by commas"
            ) from None

    def address(self, name: str) -> str | None:
        """A Solana address, or ``None``."""
        return self._checked(name, Pubkey.from_string, "a Solana address (32 bytes in base58)")

    def hash(self, name: str) -> str | None:
        """A Solana hash, or ``None``."""
        return self._checked(name, Hash.from_string, "a Solana hash (32 bytes in base58)")

    def secrets(self) -> list[str]:
        """What was given for the variables, declared until now, whose names say that it is one."""
        ends = ("_TOKEN", "_SECRET", "_SECRET_KEY", "_SECRET_ID", "_ROLE_ID", "_PASSWORD")
        texts = (
            self._variables.get(name, "").strip() for name in self.declared if name.endswith(ends)
        )
        return [text for text in texts if text]

    # -------------------------------------------------------------- refusing
    def refused(self, name: str, allowed: str, *, secret: bool = False) -> WrongVariableError:
        """One line: which variable, what it may be and, unless secret, what it is."""
        value = self._variables.get(name, "").strip()
        if not value:
            return WrongVariableError(f"{name} must be {allowed}; it is not set")
        return WrongVariableError(
            f"{name} must be {allowed}" + ("" if secret else f", not {value!r}")
        )

    def _whole(self, name: str, text: str, least: int, most: int, instead: str = "") -> int:
        if text.isascii() and text.isdigit() and least <= int(text) <= most:
            return int(text)
        allowed = f"a whole number from {least} to {most}"
        raise self.refused(name, f"{allowed} or {instead}" if instead else allowed)

    def _url(self, name: str, text: str) -> str:
        try:
            parts = urlsplit(text)
            good = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
        except ValueError:
            good = False
        if not good:
            # A provider's key may stand in the password, the path or the query: not shown.
            whole = self._variables.get(name, "")
            hide = re.search(r"[@?#]|[^/:]/[^/]", whole) is not None
            raise self.refused(name, "an http:// or https:// URL", secret=hide)
        return text

    def _checked(self, name: str, parse: Callable[[str], object], allowed: str) -> str | None:
        text = self.text(name)
        if not text:
            return None
        try:
            parse(text)
        except ValueError:
            raise self.refused(name, allowed) from None
        return text


def _path(text: str) -> Path:
    """A relative path starts at the checkout."""
    return (BASE_DIR / Path(text).expanduser()).resolve()


def load() -> Environment:
    """The process's environment, with the file's values where it has none."""
    named = os.environ.get("ENV_FILE")
    if named:
        _read(BASE_DIR / named)
    elif named is None and os.path.lexists(BASE_DIR / ".env"):
        _read(BASE_DIR / ".env")
    return Environment(dict(os.environ))


def _read(file: Path) -> None:
    """Takes a file's values into the environment.

    Raises:
        WrongVariableError: It cannot be read, or a line of it says nothing. A file that is passed
            over leaves defaults behind, among them a database of its own.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise WrongVariableError(f"The file of the environment, {file}: {why}") from None
    said = {number: line.strip() for number, line in enumerate(lines, 1)}
    kept = {number: line for number, line in said.items() if line and not line.startswith("#")}
    for number, line in kept.items():
        if not re.match(r"(export )?[A-Za-z_][A-Za-z_0-9]*=", line):
            # Not quoted: it may be a secret with a blank too many.
            raise WrongVariableError(
                f"The file of the environment, {file}: line {number} is not NAME=value"
            )
    environ.Env.read_env(io.StringIO("\n".join(kept.values())))
