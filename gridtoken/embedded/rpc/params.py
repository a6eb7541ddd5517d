"""The parameters of a request, taken out one by one and checked as they are taken."""

from __future__ import annotations

from typing import Any, cast

from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.signature import Signature

from gridtoken.embedded.chain import base58
from gridtoken.embedded.chain.rules import Commitment
from gridtoken.embedded.rpc.error import invalid_params

_OLD_NAMES = {
    "recent": "processed",
    "single": "confirmed",
    "singleGossip": "confirmed",
    "root": "finalized",
    "max": "finalized",
}
"""Commitments of old, which clients may still send."""
_LEVELS = ("processed", "confirmed", "finalized")
_U64 = 1 << 64


class Config:
    """The options object that ends most parameter lists."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def commitment(self, default: Commitment = "finalized") -> Commitment:
        """Returns the commitment asked for."""
        return commitment_level(self._values.get("commitment"), default)

    def at_least_confirmed(self) -> Commitment:
        """Returns the commitment where processed will not do.

        Raises:
            RpcError: If processed was asked for.
        """
        level = self.commitment()
        if level == "processed":
            raise invalid_params("Method does not support commitment below `confirmed`")
        return level

    def integer(self, name: str) -> int | None:
        """Returns a number that is not negative, or None if it is not there."""
        return _integer(self._values.get(name), name)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Returns a yes or no."""
        value = self._values.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise invalid_params(f"Invalid params: invalid type for {name}, expected a boolean.")
        return value

    def text(self, name: str) -> str | None:
        """Returns a string, or None if it is not there."""
        value = self._values.get(name)
        if value is not None and not isinstance(value, str):
            raise invalid_params(f"Invalid params: invalid type for {name}, expected a string.")
        return value

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        """Returns one of a few words."""
        value = self.text(name) or default
        if value not in allowed:
            choices = ", ".join(f"`{word}`" for word in allowed)
            raise invalid_params(
                f"Invalid params: unknown variant `{value}`, expected one of {choices}."
            )
        return value

    def signature(self, name: str) -> Signature | None:
        """Returns a signature, or None if it is not there."""
        value = self.text(name)
        return None if value is None else parsed_signature(value)

    def raw(self, name: str) -> Any:
        """Returns whatever is there."""
        return self._values.get(name)


class Params:
    """The positional parameters."""

    def __init__(self, raw: Any) -> None:
        if raw is None:
            raw = []
        if not isinstance(raw, list):
            raise invalid_params("`params` should be an array")
        self._raw = raw

    def raw(self, place: int) -> Any:
        """Returns a parameter as it came, or None."""
        return self._raw[place] if place < len(self._raw) else None

    def required(self, place: int) -> Any:
        """Returns a parameter that must be there."""
        if place >= len(self._raw):
            raise invalid_params(f"`params` should have at least {place + 1} argument(s)")
        return self._raw[place]

    def text(self, place: int) -> str:
        """Returns a required string."""
        value = self.required(place)
        if not isinstance(value, str):
            raise invalid_params(f"Invalid params: invalid type: {value!r}, expected a string.")
        return value

    def texts(self, place: int) -> list[str]:
        """Returns a required list of strings."""
        value = self.required(place)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise invalid_params("Invalid params: invalid type, expected an array of strings.")
        return cast("list[str]", value)

    def integer(self, place: int) -> int:
        """Returns a required number that is not negative."""
        value = _integer(self.required(place), "parameter")
        if value is None:
            raise invalid_params("Invalid params: invalid type: null, expected u64.")
        return value

    def optional_integer(self, place: int) -> int | None:
        """Returns a number that is not negative, or None if it is not there."""
        return _integer(self.raw(place), "parameter")

    def pubkey(self, place: int) -> Pubkey:
        """Returns a required address."""
        return parsed_pubkey(self.text(place))

    def signature(self, place: int) -> Signature:
        """Returns a required signature."""
        return parsed_signature(self.text(place))

    def blockhash(self, place: int) -> Hash:
        """Returns a required blockhash."""
        return Hash(_decoded(self.text(place), 32))

    def config(self, place: int) -> Config:
        """Returns the options object, or an empty one."""
        value = self.raw(place)
        if value is None:
            return Config({})
        if not isinstance(value, dict):
            raise invalid_params(f"Invalid params: invalid type: {value!r}, expected a map.")
        return Config(value)


def commitment_level(value: Any, default: Commitment = "finalized") -> Commitment:
    """Returns a commitment by its present or its old name."""
    if value is None:
        return default
    level = _OLD_NAMES.get(value, value) if isinstance(value, str) else value
    if level not in _LEVELS:
        expected = ", ".join(f"`{name}`" for name in _LEVELS)
        raise invalid_params(
            f"Invalid params: unknown variant `{value}`, expected one of {expected}."
        )
    return cast("Commitment", level)


def parsed_pubkey(text: str) -> Pubkey:
    """Returns an address from its base58."""
    return Pubkey(_decoded(text, 32))


def parsed_signature(text: str) -> Signature:
    """Returns a signature from its base58."""
    return Signature.from_bytes(_decoded(text, 64))


def _decoded(text: str, size: int) -> bytes:
    # The longest base58 of 64 bytes has 88 letters: no more work for what is longer.
    if len(text) > 88:
        raise invalid_params("Invalid param: WrongSize")
    try:
        data = base58.decode(text)
    except ValueError as error:
        raise invalid_params("Invalid param: Invalid") from error
    if len(data) != size:
        raise invalid_params("Invalid param: WrongSize")
    return data


def _integer(value: Any, name: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _U64:
        raise invalid_params(f"Invalid params: invalid value for {name}: {value!r}, expected u64.")
    return value
