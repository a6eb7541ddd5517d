"""What clients' bodies mean, without a database: exact, and nothing but one refusal."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from readings.candidate import examine
from readings.errors import InvalidReading
from readings.formats import bodies
from readings.intake import Submission
from tests.minting.api.doors import clients
from tests.minting.api.doors.clients import NOON

LATER = NOON + timedelta(days=1)


def parsed(body: Any) -> Any:
    """As the parser has it: numbers with a fraction are decimals."""
    return json.loads(json.dumps(body), parse_float=Decimal)


@pytest.mark.parametrize(
    ("body", "energies", "interval", "notes"),
    [
        (clients.simulator_2025, ("0.85", "0.1"), None, ("", "MEUCIQDk5signature")),
        (clients.operators_script, (None, None), None, ("", "")),
        (clients.simulator_january, ("1.25", "0.5"), None, ("", "")),
        (clients.simulator_spring, ("1", "0.25"), 900, ("M-1-17", "")),
    ],
)
def test_each_generation_of_the_gateways_body_means_the_same(body, energies, interval, notes):
    told = examine(bodies.plain(parsed(body("M-1", NOON, 0.75))), now=LATER)

    values = tuple(None if each is None else Decimal(each) for each in energies)
    assert told.meter_serial == "M-1"
    assert told.values == (Decimal("0.75"), *values)
    assert (told.start, told.end) == (None, NOON)
    assert told.interval == (interval and timedelta(seconds=interval))
    assert (told.external_id, told.meter_signature) == notes


@pytest.mark.parametrize(
    ("read", "body"),
    [(bodies.dlms, clients.simulator_today), (bodies.dlms_item, clients.flat_registers)],
)
def test_registers_of_an_interval_are_wh(read, body):
    told = examine(read(parsed(body("M-1", NOON, 0.0004))), now=LATER)

    assert told.values == (Decimal("0.0004"), Decimal("0.0004"), Decimal("0.1205"))
    assert (told.meter_serial, told.end, told.meter_signature) == ("M-1", NOON, "3yZe7d5signature")


def test_an_import_register_is_the_consumption_where_nothing_else_tells_it():
    body = parsed(clients.simulator_today("M-1", NOON, 0.5))
    del body["payload"]["energy_consumed"]

    assert bodies.dlms(body).energy_consumed == Decimal("0.1205")


@pytest.mark.parametrize(
    ("energies", "exported"),
    [
        ({"1.1.2.8.0.255": 250, "surplus_energy": 1, "kwh_amount": 2, "kwh": 3}, "0.25"),
        ({"surplus_energy": 1, "kwh_amount": 2, "kwh": 3}, "1"),
        ({"surplus_energy": None, "kwh_amount": "2.000000", "kwh": 3}, "2"),
        ({"kwh": Decimal("-3.5")}, "-3.5"),
        ({"surplus_energy": 0, "kwh": 3}, "0"),
    ],
)
def test_the_exported_energy_is_the_best_that_is_there(energies, exported):
    body = {"meter_serial": "M-1", "timestamp": "2026-11-01T12:00:00Z", **energies}

    assert bodies.plain(body).kwh_amount == Decimal(exported)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-01T12:00:00Z",
        "2026-11-01T12:00:00",
        "2026-11-01 12:00:00.000000",
        "2026-11-01T12:00:00.000000+00:00",
        "2026-11-01T12:00:00.000000000Z",
        "2026-11-01T19:00:00+07:00",
        " 2026-11-01T12:00:00.000Z ",
    ],
)
def test_every_clock_is_understood(text):
    assert bodies.plain({"meter_id": "M-1", "kwh": 1, "timestamp": text}).period_end == NOON


@pytest.mark.parametrize("seconds", [15, Decimal("15.0")])
def test_an_interval_may_be_written_with_a_point(seconds):
    body = {"meter_id": "M-1", "kwh": 1, "timestamp": NOON.isoformat(), "interval_seconds": seconds}

    assert examine(bodies.plain(body), now=LATER).interval == timedelta(seconds=15)


@pytest.mark.parametrize("code", ["1.0.2.8.0.255", "1-0:2.8.0", "2.8.0", "1-0:1.8.0*255"])
def test_a_counters_standing_is_refused_with_a_sentence(code):
    flat = {"device_id": "M-1", "timestamp": NOON.isoformat(), code: 48_211_000}

    for read, body in (
        (bodies.dlms_item, flat),
        (bodies.dlms, {"device_id": "M-1", "payload": flat}),
        (bodies.plain, {**flat, "meter_id": "M-1"}),
    ):
        with pytest.raises(InvalidReading, match="standing of a counter"):
            read(body)
    assert bodies.dlms_item({**flat, "kwh": 1}).kwh_amount == 1  # the interval is told besides


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"meter_serial": None}, "meter_serial or meter_id"),
        ({"meter_serial": 7}, "serial"),
        ({"meter_serial": " "}, "serial"),
        ({"kwh": None}, "kwh"),
        ({"kwh": "much"}, "kwh"),
        ({"kwh": 1.5}, "kwh"),  # a float never comes out of the parser
        ({"timestamp": None}, "timestamp"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"timestamp": 1_793_534_400}, "timestamp"),
        ({"timestamp": "0001-01-01T00:00:00+14:00"}, "1970"),
    ],
)
def test_what_is_no_reading_is_refused_by_name(changes, word):
    body = {"meter_serial": "M-1", "kwh": 1, "timestamp": NOON.isoformat(), **changes}

    with pytest.raises(InvalidReading, match=word):
        bodies.plain(body)


@pytest.mark.parametrize("protocol", ["v4", "dlms-enc", 4, ["dlms"]])
def test_frames_for_others_are_refused(protocol):
    body = clients.simulator_today("M-1", NOON, 1) | {"protocol": protocol}

    with pytest.raises(InvalidReading, match="protocol is dlms"):
        bodies.dlms(body)


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.datetimes().map(datetime.isoformat)
    | st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat)
)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5
)
NAMES = [
    *("meter_serial", "meter_id", "device_id", "protocol", "payload", "reading_id", "signature"),
    *("kwh", "kwh_amount", "surplus_energy", "1.1.2.8.0.255", "1.1.1.8.0.255", "1-0:2.8.0"),
    *("timestamp", "reading_timestamp", "interval_seconds", "energy_generated", "energy_consumed"),
]
BODIES = JSON | st.dictionaries(st.sampled_from(NAMES), JSON)
FRAMES = BODIES | BODIES.map(lambda body: {"device_id": "M-1", "payload": body})


@given(body=FRAMES)
def test_whatever_comes_is_a_submission_or_a_refusal(body):
    for read in (bodies.plain, bodies.dlms, bodies.dlms_item):
        try:
            told = read(body)
            assert isinstance(told, Submission)
            examine(told, now=LATER)
        except InvalidReading:
            continue


@given(
    kwh=st.decimals(min_value=-1000, max_value=1000, places=6),
    age=st.timedeltas(timedelta(0), timedelta(days=300)),
)
def test_amount_and_time_come_through_to_the_last_digit(kwh, age):
    end = NOON - age
    body = {"meter_serial": "M-1", "kwh": kwh, "timestamp": end.isoformat()}

    told = examine(bodies.plain(body), now=LATER)
    assert (told.values[0], told.end) == (kwh, end)
