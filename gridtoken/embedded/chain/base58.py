"""Base58 as Bitcoin and Solana write it, for data of any length."""

from __future__ import annotations

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES = {letter: value for value, letter in enumerate(ALPHABET)}


def encode(data: bytes) -> str:
    """Returns data in base58.

    >>> encode(b"hello")
    'Cn8eVZg'
    """
    number = int.from_bytes(data, "big")
    letters = ""
    while number:
        number, digit = divmod(number, 58)
        letters = ALPHABET[digit] + letters
    zeros = len(data) - len(data.lstrip(b"\0"))
    return ALPHABET[0] * zeros + letters


def decode(text: str) -> bytes:
    """Returns the data that a base58 text stands for.

    Raises:
        ValueError: If a letter is not one of the alphabet.

    >>> decode("Cn8eVZg")
    b'hello'
    """
    number = 0
    for letter in text:
        if letter not in _VALUES:
            raise ValueError(f"{letter!r} is not a base58 letter")
        number = number * 58 + _VALUES[letter]
    zeros = len(text) - len(text.lstrip(ALPHABET[0]))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
