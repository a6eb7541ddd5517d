"""What somebody typed into a search box, told from its shape, so that each search is a lookup."""

from __future__ import annotations

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


@dataclass(frozen=True, slots=True)
class Sought:
    """A text and what it names."""

    kind: Kind
    text: str

    @property
    def id(self) -> UUID:
        """The id that the text is."""
        return UUID(self.text)


def sought(text: str) -> Sought:
    """Tells a UUID, a signature (64 bytes of base58) and a wallet (32) from any other text."""
    words = text.strip()
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
    return Sought(Kind.NAME, words)


def _hyphenated(text: str) -> UUID:
    """An id as pages show it; 32 digits in a row are rather a meter's serial."""
    if text.count("-") != 4:
        raise ValueError(text)
    return UUID(text)
