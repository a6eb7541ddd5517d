"""The pack's reader: what was written is read again, and everything else is refused."""

from __future__ import annotations

import json
import re
import tracemalloc
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime
from decimal import Decimal
from io import BytesIO, RawIOBase
from typing import Any, get_args, get_type_hints
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.pubkey import Pubkey
from solders.signature import Signature

from minting.engine.audit_pack import (
    FORMAT,
    MAX_LINE,
    MAX_TEXT,
    TYPES,
    VERSION,
    PackBatch,
    PackEnd,
    PackExcluded,
    PackLine,
    PackReading,
    PackTransaction,
    PackUnpaid,
    codecs,
    encode,
    is_pack,
    read_pack,
    stream,
)
from minting.engine.errors import PackRefused
from tests.verify.packs import GOLDEN, ROOT, lines_of, pack_from

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)
VALUES = {
    codecs.Text: TEXTS,
    codecs.Count: st.integers(0, 2**63 - 1),
    codecs.Units: st.integers(0, 2**64 - 1),
    codecs.Kwh: st.decimals(0, 10**11 - 1, places=9, allow_nan=False),
    codecs.Id: st.uuids(),
    codecs.Address: st.binary(min_size=32, max_size=32).map(lambda raw: str(Pubkey(raw))),
    codecs.SignatureText: st.binary(min_size=64, max_size=64).map(lambda raw: str(Signature(raw))),
    codecs.Raw: st.binary(max_size=300),
    codecs.Root: st.binary(min_size=32, max_size=32),
    codecs.Instant: st.datetimes(
        timezones=st.just(UTC),
    ),
}


def lines(kind: type[PackLine], **given: Any) -> st.SearchStrategy[Any]:
    """Any line of a kind, with some fields given."""
    parts = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        choices = (hint, *getattr(hint, "__args__", ()))
        values = next(VALUES[each] for each in VALUES if each in choices)
        parts[name] = values | st.none() if type(None) in choices else values
    parts |= {name: st.just(value) for name, value in given.items()}
    return st.builds(kind, **parts)


@st.composite
def packs(draw: st.DrawFn) -> list[PackLine]:
    """The lines of some batch, without the end."""
    drawn: list[PackLine] = [draw(lines(PackBatch, format=FORMAT, version=VERSION))]
    for _ in range(draw(st.integers(0, 3))):
        ids = sorted(draw(st.sets(st.uuids(), max_size=4)), key=lambda id_: id_.bytes)
        drawn.append(draw(lines(PackTransaction, readings=len(ids))))
        drawn += [draw(lines(PackReading, index=at, id=id_)) for at, id_ in enumerate(ids)]
    drawn += draw(st.lists(lines(PackUnpaid), max_size=3))
    drawn += draw(st.lists(lines(PackExcluded), max_size=3))
    return drawn


@given(packs())
def test_what_is_written_is_read_again(drawn):
    read = lines_of(pack_from(drawn))
    assert read[:-1] == drawn
    assert isinstance(read[-1], PackEnd)
    assert read[-1].lines == len(read)


@given(st.binary(max_size=2_000))
def test_any_bytes_are_refused_in_one_sentence(data):
    with pytest.raises(PackRefused) as refused:
        list(read_pack(BytesIO(data)))
    assert str(refused.value).startswith("The audit pack is refused at line 1: ")
    assert "\n" not in str(refused.value)


GOLDEN_PACK = GOLDEN[0].read_bytes()


@settings(max_examples=300)
@given(st.data())
def test_no_byte_can_be_changed_dropped_or_added(data):
    at = data.draw(st.integers(0, len(GOLDEN_PACK) - 1))
    byte = data.draw(st.binary(max_size=1))
    keep = data.draw(st.booleans())
    changed = GOLDEN_PACK[:at] + byte + GOLDEN_PACK[at + (not keep) :]
    if changed == GOLDEN_PACK:
        return
    with pytest.raises(PackRefused):
        list(read_pack(BytesIO(changed)))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300)
@given(st.data())
def test_no_field_takes_a_value_that_is_not_its_own(data):
    """Whatever JSON stands in a field: it is refused, or written exactly so again."""
    rows = GOLDEN_PACK.splitlines()
    place = data.draw(st.integers(0, len(rows) - 1))
    document = json.loads(rows[place])
    name = data.draw(st.sampled_from(sorted(document)))
    document[name] = data.draw(json_values)
    rows[place] = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    changed = b"\n".join(rows) + b"\n"
    sentence = ""
    try:
        read = list(read_pack(BytesIO(changed)))
    except PackRefused as refused:
        sentence = str(refused)
    assert "\n" not in sentence
    assert len(sentence) < 300
    assert sentence or b"".join(encode(line) for line in read) == changed


@pytest.mark.parametrize("kind", TYPES.values())
@pytest.mark.parametrize("value", [None, True, 1.5, -1, 2**64, "", "x" * 5_000, [], {}, "\ud800"])
def test_wrong_values_are_refused_wherever_they_stand(kind, value):
    [place] = [at for at, line in enumerate(lines_of(GOLDEN_PACK)) if type(line) is kind][:1]
    rows = GOLDEN_PACK.splitlines()
    nullable = {"approved_by", "requested_by", "retry_of", "started_at", "finished_at", "slot"}
    nullable |= {"error", "fee_estimate_lamports", "rent_estimate_lamports"}
    texts = {"code", "reason", "meter", "status", "source", "wallet", "version"}
    for each in fields(kind):
        if (value is None and each.name in nullable) or (value == "" and each.name in texts):
            continue
        document = {**json.loads(rows[place]), each.name: value}
        text = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
        changed = b"\n".join([*rows[:place], text, *rows[place + 1 :]]) + b"\n"
        with pytest.raises(PackRefused):
            list(read_pack(BytesIO(changed)))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda pack: pack.replace(b'"version":1', b'"version":2', 1), "version 2 is not known"),
        (lambda pack: pack.replace(b'"version":1', b'"version":true', 1), "version True is not"),
        (lambda pack: pack.replace(b"{", b'{"id":"x",', 1), "no key twice"),
        (lambda pack: pack.replace(b'"index":1,', b'"index":2,', 1), "does not announce here"),
        (lambda pack: pack.replace(b'"type":"reading"', b'"type":"thing"', 1), "unknown type"),
        (lambda pack: pack.replace(b'"decimals":9,', b"", 1), "'decimals' is missing"),
        (lambda pack: pack.replace(b"0.250000000", b"0.25", 1), "'kwh' is not what it must be"),
        (lambda pack: pack.replace(b'"0.250', b'"00.250', 1), "'kwh' is not written as it must"),
        (lambda pack: pack.splitlines(keepends=True)[0] + pack, "wrong place"),
        (lambda pack: pack + b" ", "something follows the end"),
        (lambda pack: pack[:-1], "cut off"),
        (lambda pack: b"{" + b" " * MAX_LINE + pack, "too long"),
        (lambda pack: pack.replace(b"HOUSE-1", b"HOUSE-2", 1), "'digest' is not that of the lines"),
        (lambda pack: pack.replace(b'"paid":14', b'"paid":15', 1), "'paid' is not that of the"),
        (lambda _: b"9" * 9_000 + b"\n", "not JSON"),
        (lambda _: b"[" * 9_000 + b"]" * 5_000 + b"\n", "not JSON"),
    ],
)
def test_a_refusal_says_what_is_wrong(spoil, reason):
    with pytest.raises(PackRefused, match="The audit pack is refused at line") as refused:
        list(read_pack(BytesIO(spoil(GOLDEN_PACK))))
    assert reason in str(refused.value)


def test_readings_out_of_order_and_too_many_are_refused(monkeypatch):
    drawn = lines_of(GOLDEN_PACK)
    first, second = drawn[2:4]
    assert isinstance(first, PackReading)
    assert isinstance(second, PackReading)
    swapped = [*drawn[:2], replace(second, index=0), replace(first, index=1), *drawn[4:]]
    with pytest.raises(PackRefused, match="not in the order of their ids"):
        lines_of(pack_from(swapped))
    last = 1 + drawn[1].readings
    with pytest.raises(PackRefused, match=f"{last - 1} readings should come before it, {last - 2}"):
        lines_of(pack_from([*drawn[:last], *drawn[last + 1 :]]))
    monkeypatch.setattr(stream, "MAX_READINGS", 5)
    with pytest.raises(PackRefused, match="more than 5 readings"):
        lines_of(GOLDEN_PACK)
    monkeypatch.undo()
    monkeypatch.setattr(stream, "MAX_LINES", 5)
    with pytest.raises(PackRefused, match="more lines"):
        lines_of(GOLDEN_PACK)


def test_a_file_of_any_size_is_read_in_flat_memory():
    """20,000 readings, some megabytes, never held."""
    source: Any = _Source(large_pack())
    tracemalloc.start()
    try:
        for counted, _ in enumerate(read_pack(source), start=1):  # noqa: B007 - the last counts
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert counted == 20_000 + 2_000 + 2
    assert peak < 1_000_000


def large_pack() -> Iterator[bytes]:
    """Ten readings a transaction, as a stream of lines."""
    head, row, reading = lines_of(GOLDEN_PACK)[:3]
    assert isinstance(row, PackTransaction)
    assert isinstance(reading, PackReading)
    written: list[bytes] = []
    writer = stream.PackWriter(written.append)
    writer.add(head)
    for number in range(2_000):
        writer.add(replace(row, readings=10))
        for at in range(10):
            id_ = UUID(int=number * 10 + at)
            writer.add(replace(reading, index=at, id=id_))
        yield from written
        written.clear()
    writer.end()
    yield from written


class _Source(RawIOBase):
    """Lines of an iterator, as a file."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines

    def readline(self, _size: int | None = -1, /) -> bytes:
        return next(self._lines, b"")

    def read(self, _size: int | None = -1, /) -> bytes:
        return next(self._lines, b"")


def test_a_pack_is_known_by_its_first_line():
    assert is_pack(GOLDEN_PACK.splitlines()[0])
    assert is_pack(GOLDEN_PACK.replace(b'"version":1', b'"version":9').splitlines()[0])
    assert not is_pack(b'{"format":1,"signature":"x","leaves":[]}\n')
    assert not is_pack(b"")


def test_every_field_is_documented_and_no_other():
    page = (ROOT / "docs" / "audit-pack.md").read_text()
    for name, kind in TYPES.items():
        table = page.partition(f"### `{name}`")[2].partition("\n##")[0]
        rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
        listed = {
            field: bool(mark) for row in rows for field, mark in re.findall(r"`(\w+)`( \?)?", row)
        }
        hints = get_type_hints(kind)
        assert listed == {each: type(None) in get_args(hints[each]) for each in hints}, name


def test_amounts_keep_every_digit():
    largest = PackReading(
        index=0,
        id=UUID(int=1),
        wallet=str(Pubkey.default()),
        base_units=2**64 - 1,
        kwh=Decimal("99999999999.999999999"),
        meter="é" * MAX_TEXT,
        period_start=datetime(2026, 1, 1, tzinfo=UTC),
        period_end=datetime(2026, 1, 1, 0, 15, tzinfo=UTC),
    )
    text = encode(largest)
    assert b'"base_units":"18446744073709551615"' in text
    assert b'"kwh":"99999999999.999999999"' in text
    assert text.isascii()
    assert len(text) < MAX_LINE
