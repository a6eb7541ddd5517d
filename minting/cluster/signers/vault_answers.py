"""What Vault's answers mean: not now, or not before a person has mended something.

Shapes and statuses: HashiCorp's API documentation ("HTTP status codes", "Transit secrets engine"),
and OpenBao 2.7, which answers the same.
"""

from __future__ import annotations

import requests

from minting.engine.errors import BlockchainError, SignerRefused, SignerUnavailable

NOT_NOW = frozenset({408, 412, 429, 472, 473})
"""Statuses below 500 that pass by themselves: too many questions, a node that is behind."""

_SAYS = {
    429: "asks for fewer questions",
    501: "is not initialized",
    503: "is sealed or in maintenance",
}
_HINTS = {
    403: "the token is not valid (any more), or its policy does not allow it",
    404: "mount, key or namespace is not there",
}

LONGEST = 200
"""Characters of Vault's own words that a sentence quotes."""


def of_status(status: int, words: list[str]) -> BlockchainError:
    """The error that an HTTP status stands for.

    Args:
        status: 400 or above.
        words: Vault's ``errors``.
    """
    said = _quoted(words)
    if status in NOT_NOW or status >= 500:
        return SignerUnavailable(f"Vault {_SAYS.get(status, 'fails')} ({status}{said})")
    hint = f": {_HINTS[status]}" if status in _HINTS else ""
    return SignerRefused(f"Vault refuses ({status}{said}){hint}")


def of_transport(error: requests.RequestException, seconds: float) -> BlockchainError:
    """The error that a broken, refused or silent connection stands for; quotes no URL."""
    if isinstance(error, requests.Timeout):
        return SignerUnavailable(f"Vault gives no answer within {seconds:g} s")
    why = _root(error)
    if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY" in why:
        return SignerRefused(f"Vault's certificate is not trusted ({why}): see VAULT_CACERT")
    return SignerUnavailable(f"Vault cannot be reached ({why})")


def of_item(words: object) -> SignerRefused:
    """The error that one item of a batch stands for."""
    return SignerRefused(f"Vault does not sign ({_words(str(words))})")


def _quoted(words: list[str]) -> str:
    return f", {_words(' '.join(words))}" if words else ""


def _words(text: str) -> str:
    """One line, and not a long one."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else line[:LONGEST] + "…"


def _root(error: BaseException) -> str:
    """What the system said at the bottom; libraries wrap it several times, with the URL."""
    found, at = "the connection broke", error
    for _ in range(10):
        if isinstance(at, OSError) and at.strerror:
            found = at.strerror
        below = [*at.args, getattr(at, "reason", None), at.__cause__, at.__context__]
        inner = next((each for each in below if isinstance(each, BaseException)), None)
        if inner is None:
            break
        at = inner
    return _words(found)
