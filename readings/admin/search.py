"""What somebody typed into a search box, told from its shape, so that each search is a lookup.

Ids, signatures and wallets are recognised whole. What could be the beginning of one is a name that
``begins`` it too: whoever searches asks the indexes for both.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum, auto
from uuid import UUID

from solders.pubkey import Pubkey
from solders.signature import Signature


class Kind(Enum):
    """What a text can name."""

    ID = auto()
    SIGNATURE = auto()
    WALLET = auto()
    NAME = auto()
    """Anything else: a meter's serial, an owner's id."""


SHORTEST = 4
"""Characters of a beginning: fewer would begin thousands."""

_BASE58 = re.compile(r"[1-9A-HJ-NP-Za-km-z]+")
_GROUPS = (8, 4, 4, 4, 12)
"""Digits of an id between its hyphens."""

_LONGEST_WALLET = 44


@dataclass(frozen=True, slots=True)
class Sought:
    """A text and what it names."""

    kind: Kind
    text: str
    begins: AbstractSet[Kind] = frozenset()
    """Of a name: what it could be the beginning of."""

    @property
    def id(self) -> UUID:
        """The id that the text is."""
        return UUID(self.text)

    @property
    def ids(self) -> tuple[UUID, UUID]:
        """The first and the last id that begin so."""
        digits = self.text.replace("-", "")
        return UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))


def sought(text: str) -> Sought:
    """Tells a UUID, a signature (64 bytes of base58) and a wallet (32) from any other text."""
    words = text.strip()
    words = words.partition("…")[0] or words  # as pages shorten what is long
    for kind, parse in (
        (Kind.ID, _hyphenated),
        (Kind.SIGNATURE, Signature.from_string),
        (Kind.WALLET, Pubkey.from_string),
    ):
        try:
            parse(words)
        except ValueError:
            continue
        return Sought(kind, words)
    return Sought(Kind.NAME, words, _begun(words))


def _begun(text: str) -> frozenset[Kind]:
    """What this could be the beginning of."""
    if len(text) < SHORTEST:
        return frozenset()
    kinds = set()
    if _begins_id(text):
        kinds.add(Kind.ID)
    if _BASE58.fullmatch(text):
        kinds.add(Kind.SIGNATURE)
        if len(text) < _LONGEST_WALLET:
            kinds.add(Kind.WALLET)
    return frozenset(kinds)


def _begins_id(text: str) -> bool:
    """Hexadecimal digits with hyphens where an id has them, the first group at least begun."""
    groups = text.lower().split("-")
    if len(groups) > len(_GROUPS) or not re.fullmatch("[0-9a-f-]+", text.lower()):
        return False
    *whole, last = zip(groups, _GROUPS, strict=False)
    return all(len(group) == size for group, size in whole) and len(last[0]) <= last[1]


def _hyphenated(text: str) -> UUID:
    """An id as pages show it; 32 digits in a row are rather a meter's serial."""
    if text.count("-") != 4:
        raise ValueError(text)
    return UUID(text)
