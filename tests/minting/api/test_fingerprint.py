"""What counts as the same key, and as the same request."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minting.api.errors import InvalidIdempotencyKey
from minting.api.idempotency import LONGEST, fingerprint, parse_key

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.decimals(allow_nan=False, allow_infinity=False, places=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def of(body: str) -> str:
    """As the API reads it."""
    return fingerprint("POST", "/x", json.loads(body, parse_float=Decimal))


def turned(value: Any) -> Any:
    """The same JSON with every object's names the other way round, and numbers with a zero more."""
    if isinstance(value, dict):
        return {name: turned(value[name]) for name in reversed(value)}
    if isinstance(value, list):
        return [turned(each) for each in value]
    if isinstance(value, Decimal):
        return Decimal(f"{value:f}0" if "." in f"{value:f}" else f"{value:f}.0")
    return value


@given(VALUES)
def test_spelling_does_not_count(value: Any) -> None:
    assert fingerprint("POST", "/x", value) == fingerprint("POST", "/x", turned(value))


@given(VALUES, VALUES)
def test_what_is_not_equal_differs(one: Any, other: Any) -> None:
    assert (fingerprint("", "", one) == fingerprint("", "", other)) == same(one, other)


def same(one: Any, other: Any) -> bool:
    """Equal as JSON: to Python alone, true is 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and one == other


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "1.0"),
        ("1.5", "15e-1"),
        ("1e2", "100"),
        ("0", "-0.0"),
        ('{"a":1,"b":[2]}', '{ "b" : [ 2.00 ], "a" : 1 }'),
        (r'"\u00e9"', '"é"'),
        ("123456789012345678901234567890.10", "123456789012345678901234567890.1"),
    ],
)
def test_the_same_body(one: str, other: str) -> None:
    assert of(one) == of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", '"1"'),
        ("1", "true"),
        ("1", "[1]"),
        ("[1,2]", "[2,1]"),
        ("null", "{}"),
        ("{}", "[]"),
        ("\"Decimal('1')\"", "1"),
        ('{"a":"b\', \'c"}', '{"a":"b","c":null}'),
        ("123456789012345678901234567890.1", "123456789012345678901234567890.2"),
        ("1e999999", "1e999998"),
    ],
)
def test_another_body(one: str, other: str) -> None:
    assert of(one) != of(other)


def test_method_and_address_count() -> None:
    assert len({fingerprint(*of) for of in [("A", "/b", 1), ("A", "/c", 1), ("B", "/b", 1)]}) == 3


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("8e03978e-40d5", "8e03978e-40d5"),
        ('"8e03978e-40d5"', "8e03978e-40d5"),
        ("  k\t", "k"),
        ('" k"', " k"),
        (r'"a\"b\\c"', r'a"b\c'),
        ("order 17, second try", "order 17, second try"),
        ('a"b', 'a"b'),
        ("~" * LONGEST, "~" * LONGEST),
        (f'"{"k" * LONGEST}"', "k" * LONGEST),
    ],
)
def test_a_key(header: str, key: str) -> None:
    assert parse_key(header) == key


@pytest.mark.parametrize(
    "header",
    ["", " ", '""', '"', '"a', '"a"b', '"a", "b"', r'"\a"', "é", "a\nb", "\x7f", "k" * 256],
)
def test_no_key(header: str) -> None:
    with pytest.raises(InvalidIdempotencyKey):
        parse_key(header)
