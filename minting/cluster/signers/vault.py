"""A key that never leaves HashiCorp Vault (transit engine, Ed25519): it is asked for signatures."""

from __future__ import annotations

import asyncio
import threading
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, NoReturn, Self, TypeVar

import structlog
from solders.pubkey import Pubkey
from solders.signature import Signature

from minting.cluster.signers.settings import VaultSettings
from minting.cluster.signers.vault_answers import of_item
from minting.cluster.signers.vault_door import VaultDoor
from minting.engine.errors import SignerRefused, SignerUnavailable

log = structlog.get_logger(__name__)
T = TypeVar("T")

GRACE = 0.5
"""Seconds beyond the door's own limit, which a dribbling server can stretch."""


class VaultSigner:
    """A ``Signer`` of one version of one key, whatever versions are added to it later.

    Each signature is checked against the public key before anybody gets it: another key's, or
    none at all, is refused here and blames no transaction.
    """

    __slots__ = ("_address", "_door", "_version")

    def __init__(self, door: VaultDoor, address: Pubkey, version: int) -> None:
        self._door = door
        self._address = address
        self._version = version

    @classmethod
    def open(cls, settings: VaultSettings, address: Pubkey | None = None) -> Self:
        """Asks Vault for the key. Blocks, for ``timeout`` seconds at most.

        Args:
            settings: Where, and by what right.
            address: Which of the key's versions; without it the key must have just one.

        Raises:
            SignerUnavailable: Vault does not answer now.
            SignerRefused: It is no such key, or not one that we may use.
        """
        door = VaultDoor(settings)
        try:
            return cls(door, *_version_of(door.read_key(), settings, address))
        except BaseException:
            door.close()
            raise

    @property
    def address(self) -> Pubkey:
        """The public key."""
        return self._address

    async def sign(self, messages: Sequence[bytes]) -> list[Signature]:
        """Signs the serialized messages in one round trip."""
        inputs = [b64encode(message).decode() for message in messages]
        answers = await self._in_time(lambda: self._door.sign(inputs, self._version))
        return [
            self._checked(answer, message)
            for answer, message in zip(answers, messages, strict=True)
        ]

    def tend(self) -> None:
        """Keeps the token alive; to be called now and then where little is signed. Blocks."""
        self._door.tend()

    def close(self) -> None:
        """Ends its connections."""
        self._door.close()

    async def _in_time(self, call: Callable[[], T]) -> T:
        seconds = self._door.settings.timeout
        try:
            async with asyncio.timeout(seconds + GRACE):
                return await _in_thread(call)
        except TimeoutError:
            # The thread still waits with the old one.
            self._door = VaultDoor(self._door.settings)
            raise SignerUnavailable(f"Vault gives no answer within {seconds:g} s") from None

    def _checked(self, answer: dict[str, Any], message: bytes) -> Signature:
        """What one answer says, once it is seen to be this key's signature of this message."""
        if answer.get("error"):
            raise of_item(answer["error"])
        prefix = f"vault:v{self._version}:"
        text = str(answer.get("signature", ""))
        try:
            signature = Signature.from_bytes(b64decode(text.removeprefix(prefix), validate=True))
        except ValueError:
            raise SignerRefused("Vault's answer is no Ed25519 signature") from None
        if not text.startswith(prefix) or not signature.verify(self._address, message):
            log.error("vault_signed_otherwise", address=str(self._address), version=self._version)
            raise SignerRefused(
                f"Vault's signature is not that of {self._address} (version {self._version})"
            )
        return signature

    def __repr__(self) -> str:
        return f"VaultSigner({self._address})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("A signer is not pickled: that would write its token down")


def _version_of(
    key: dict[str, Any], settings: VaultSettings, address: Pubkey | None
) -> tuple[Pubkey, int]:
    """The public key to sign for, and the number of its version."""
    name = f"{settings.mount}/{settings.key}"
    if key.get("type") != "ed25519" or key.get("derived"):
        raise SignerRefused(f"Vault's key {name} is not of the type ed25519, underived")
    versions = _public_keys(key, name)
    if address is not None and address not in versions:
        held = ", ".join(f"{each} (version {versions[each]})" for each in versions)
        raise SignerRefused(f"Vault's key {name} is {held}; MINT_AUTHORITY_ADDRESS says {address}")
    if address is None:
        if len(versions) != 1:
            raise SignerRefused(
                f"Vault's key {name} has {len(versions)} versions: "
                "MINT_AUTHORITY_ADDRESS has to say which of them is the mint's authority"
            )
        (address,) = versions
    return address, versions[address]


def _public_keys(key: dict[str, Any], name: str) -> dict[Pubkey, int]:
    try:
        return {
            Pubkey.from_bytes(b64decode(version["public_key"], validate=True)): int(number)
            for number, version in key["keys"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        raise SignerRefused(f"Vault's key {name} shows no public keys of 32 bytes") from None


def _in_thread(call: Callable[[], T]) -> asyncio.Future[T]:
    """As ``asyncio.to_thread``, but neither loop nor process waits for a thread that hangs."""
    future: Future[T] = Future()

    def run() -> None:
        future.set_running_or_notify_cancel()
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 — raised again by whoever awaits it
            future.set_exception(error)

    threading.Thread(target=run, daemon=True, name="vault").start()
    return asyncio.wrap_future(future)
