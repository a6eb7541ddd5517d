"""A key in memory, read from a Solana CLI keypair file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, Self

import structlog
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature

from minting.engine.errors import MintingRefused

log = structlog.get_logger(__name__)

KEYPAIR_BYTES = 64


class KeypairSigner:
    """A ``Signer`` whose key never leaves it: not by ``repr``, not by pickling."""

    __slots__ = ("_keypair",)

    def __init__(self, keypair: Keypair) -> None:
        self._keypair = keypair

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Reads a JSON array of 64 bytes: secret key, then public key.

        Raises:
            MintingRefused: The file cannot be read or is not such a key; in one line that names
                the file and quotes nothing of it.
        """
        file = Path(path).expanduser()
        try:
            mode = file.stat().st_mode
            content = file.read_bytes()
        except OSError as error:
            raise MintingRefused(f"Keypair file {file}: {error.strerror}") from error
        if mode & 0o077:
            # Not refused: secrets mounted into containers are often 0444.
            log.warning("keypair_file_readable_by_others", path=str(file), mode=oct(mode & 0o777))
        keypair = _parse(content)
        if keypair is None:
            raise MintingRefused(
                f"Keypair file {file} is not a JSON array of the {KEYPAIR_BYTES} bytes of a key"
            )
        return cls(keypair)

    @property
    def address(self) -> Pubkey:
        """The public key."""
        return self._keypair.pubkey()

    async def sign(self, messages: Sequence[bytes]) -> list[Signature]:
        """Signs the serialized messages; never waits, nothing leaves the process."""
        return [self._keypair.sign_message(message) for message in messages]

    def __repr__(self) -> str:
        return f"KeypairSigner({self.address})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("A signer is not pickled: that would write its key down")


def _parse(content: bytes) -> Keypair | None:
    """``None`` instead of an exception, whose message or frames might quote the key."""
    try:
        numbers = json.loads(content)
        return Keypair.from_bytes(bytes(numbers)) if isinstance(numbers, list) else None
    except (ValueError, TypeError):
        return None
