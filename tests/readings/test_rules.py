"""The judge and the parsers, from their text and from random values."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from readings import rules
from readings.errors import InvalidReading
from readings.rules import (
    MINTABLE,
    Facts,
    Limits,
    ReadingCode,
    ReadingStatus,
    Verification,
    judge,
    judge_again,
)

LIMITS = Limits(max_reading_kwh=Decimal(100), max_age=timedelta(days=7))
GOOD = Facts(
    kwh=Decimal("0.25"),
    age=timedelta(minutes=1),
    verification=Verification.VERIFIED,
    overlaps=False,
    has_wallet=True,
)
KWH = st.decimals(-200, 200, places=9)
FACTS = st.builds(
    Facts,
    kwh=KWH,
    age=st.timedeltas(timedelta(minutes=-5), timedelta(days=30)),
    verification=st.sampled_from(Verification),
    overlaps=st.booleans(),
    has_wallet=st.booleans(),
    released=st.booleans(),
)


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({}, "pending", None),
        ({"kwh": Decimal(0)}, "not_minted", "consumption"),
        ({"kwh": Decimal("-0.001")}, "not_minted", "consumption"),
        ({"kwh": Decimal(100)}, "pending", None),
        ({"kwh": Decimal("100.000000001")}, "held", "reading_too_large"),
        ({"age": timedelta(days=7)}, "pending", None),
        ({"age": timedelta(days=7, microseconds=1)}, "held", "reading_too_old"),
        ({"age": timedelta(minutes=-5)}, "pending", None),
        ({"verification": Verification.UNVERIFIED}, "held", "unverified"),
        ({"verification": Verification.LEGACY_UNVERIFIED}, "pending", None),
        ({"has_wallet": False}, "held", "no_wallet"),
        ({"overlaps": True}, "held", "overlapping_period"),
    ],
)
def test_each_case_of_the_table(change, status, code):
    judgement = judge(replace(GOOD, **change), LIMITS)
    assert (judgement.status, judgement.code) == (status, code)
    assert bool(judgement.reason) == bool(code)


@given(FACTS)
def test_pending_means_that_nothing_speaks_against_it(facts):
    judgement = judge(facts, LIMITS)
    if judgement == MINTABLE:
        assert facts.kwh > 0
        assert facts.has_wallet
        if not facts.released:
            assert facts.kwh <= LIMITS.max_reading_kwh
            assert facts.age <= LIMITS.max_age
            assert not facts.overlaps
            assert facts.verification is not Verification.UNVERIFIED
    else:
        assert judgement.code is not None


@given(FACTS)
def test_consumption_is_never_minted_whatever_else_is_true(facts):
    assume(facts.kwh <= 0)
    assert judge(facts, LIMITS).code is ReadingCode.CONSUMPTION


@given(FACTS)
def test_a_release_waives_all_but_the_wallet(facts):
    assume(facts.kwh > 0)
    judgement = judge(replace(facts, released=True), LIMITS)
    assert judgement.code == (None if facts.has_wallet else ReadingCode.NO_WALLET)


@given(FACTS, FACTS)
def test_judging_again_is_stable_while_nothing_changes(facts, later):
    first = judge(facts, LIMITS)
    if first.status in rules.UNDECIDED:
        again = judge_again(
            replace(facts, overlaps=later.overlaps), LIMITS, standing=first.code or ""
        )
        assert again == first


def test_a_lowered_age_limit_does_not_catch_what_came_in_time():
    strict = replace(LIMITS, max_age=timedelta(0))
    old = replace(GOOD, age=timedelta(days=6))
    assert judge_again(old, strict, standing="") == MINTABLE
    assert judge_again(old, strict, standing="no_wallet") == MINTABLE
    assert judge_again(old, strict, standing="reading_too_old").code == "reading_too_old"


def test_a_raised_age_limit_lets_go():
    generous = replace(LIMITS, max_age=timedelta(days=30))
    old = replace(GOOD, age=timedelta(days=20))
    assert judge_again(old, generous, standing="reading_too_old") == MINTABLE


def test_a_lowered_size_limit_holds_what_was_pending():
    tight = replace(LIMITS, max_reading_kwh=Decimal("0.1"))
    assert judge_again(GOOD, tight, standing="").code == "reading_too_large"
    assert judge_again(replace(GOOD, released=True), tight, standing="") == MINTABLE


def test_every_code_has_a_sentence():
    assert set(rules.REASONS) == set(ReadingCode)
    for code in ReadingCode:
        assert rules.reason_of(code.value) == code.reason
        assert code.reason.endswith(".")


def test_a_code_of_minting_has_no_sentence_here():
    assert rules.reason_of("") == ""
    assert rules.reason_of("account_frozen") == ""


@pytest.mark.parametrize(
    ("value", "kwh"),
    [
        ("1", "1.000000000"),
        (" 0.123456789 ", "0.123456789"),
        ("+1.5", "1.500000000"),
        (".5", "0.500000000"),
        ("1e-9", "0.000000001"),
        (3, "3.000000000"),
        (Decimal("0.1234567885"), "0.123456788"),
        (Decimal("0.1234567895"), "0.123456790"),
        (Decimal("0.12345678951"), "0.123456790"),
        (Decimal("1e-999999"), "0.000000000"),
        (Decimal("-0"), "0.000000000"),
        ("-0.000000000", "0.000000000"),
        ("-0.4", "-0.400000000"),
        ("999999999.999999999", "999999999.999999999"),
    ],
)
def test_energy_that_is_one(value, kwh):
    assert f"{rules.parse_kwh(value):f}" == kwh


@pytest.mark.parametrize(
    "value",
    [
        0.25,
        True,
        None,
        [],
        {},
        "",
        "abc",
        "1_000",
        "0x10",
        "١٢",
        "1,5",
        "NaN",
        "Infinity",
        "1e99999",
        "0.1234567890",
        "1e-10",
        "1e9",
        Decimal("NaN"),
        Decimal("sNaN"),
        Decimal("-Infinity"),
        Decimal(10**9),
        Decimal("1e999999"),
        10**4000,
        -(10**9),
    ],
)
def test_energy_that_is_none(value):
    with pytest.raises(InvalidReading, match="kwh_amount"):
        rules.parse_kwh(value)


@given(st.decimals(-(10**8), 10**8, allow_nan=False, allow_infinity=False))
def test_a_json_number_is_rounded_by_half_a_quantum_at_most(number):
    kwh = rules.parse_kwh(number)
    assert kwh.as_tuple().exponent == -9
    assert abs(kwh - number) <= rules.KWH_QUANTUM / 2


@given(st.decimals(-(10**8), 10**8, places=9))
def test_nine_places_survive_as_text_and_as_number(number):
    assert rules.parse_kwh(f"{number:f}") == rules.parse_kwh(number) == number


@given(st.one_of(st.text(), st.integers(), st.decimals(), st.booleans(), st.none(), st.floats()))
def test_whatever_comes_is_energy_or_refused(value):
    try:
        kwh = rules.parse_kwh(value)
    except InvalidReading:
        return
    assert kwh.is_finite()
    assert abs(kwh) <= rules.ABSURD_KWH


@pytest.mark.parametrize(
    ("payload", "kwh"),
    [
        ({"kwh": "1"}, "1"),
        ({"kwh": "1", "kwh_amount": "2"}, "2"),
        ({"kwh": "1", "kwh_amount": "2", "surplus_energy": "3"}, "3"),
        ({"kwh": "1", "surplus_energy": "3", "1.1.2.8.0.255": 4500}, "4.5"),
        ({"kwh": "1", "kwh_amount": None, "surplus_energy": None}, "1"),
        ({"kwh": "1", "1.1.2.8.0.255": None}, "1"),
        ({"kwh": -3, "energy_generated": "9", "1.1.1.8.0.255": 4}, "-3"),
        ({"surplus_energy": 0, "kwh": "1"}, "0"),
        ({"1.1.2.8.0.255": "0.000001"}, "0.000000001"),
        ({"1.1.2.8.0.255": Decimal("1234.5678905")}, "1.234567890"),
    ],
)
def test_which_value_is_the_exported_one(payload, kwh):
    assert rules.exported_kwh(payload) == Decimal(kwh)


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"kwh": None},
        {"energy_generated": "1"},
        {"surplus_energy": "many", "kwh": "1"},
        {"1.1.2.8.0.255": 10**12},
        {"1.1.2.8.0.255": True, "kwh": 1},
    ],
)
def test_no_exported_value_or_a_wrong_one_is_refused(payload):
    with pytest.raises(InvalidReading):
        rules.exported_kwh(payload)


NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-23T12:00:00Z",
        " 2026-11-23T19:00:00+07:00",
        "2026-11-23 12:00:00.000000+00:00",
        NOON,
        datetime(2026, 11, 23, 19, tzinfo=timezone(timedelta(hours=7))),
    ],
)
def test_instants_become_utc(value):
    instant = rules.parse_instant(value, name="period_end")
    assert instant == NOON
    assert instant.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-23T12:00:00",
        "yesterday",
        "",
        1763899200,
        None,
        datetime(2026, 11, 23, 12),  # noqa: DTZ001
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=7))),
        "9999-12-31T23:59:59-12:00",
        "1969-12-31T23:59:59Z",
    ],
)
def test_what_is_no_instant_is_refused(value):
    with pytest.raises(InvalidReading, match="period_end"):
        rules.parse_instant(value, name="period_end")


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (NOON, NOON),
        (NOON, NOON - timedelta(seconds=1)),
        (NOON - timedelta(days=33), NOON),
        (None, NOON + timedelta(minutes=5, microseconds=1)),
    ],
)
def test_periods_that_cannot_be(start, end):
    with pytest.raises(InvalidReading):
        rules.check_period(start=start, end=end, now=NOON)


@pytest.mark.parametrize(
    ("start", "end"),
    [(None, NOON + timedelta(minutes=5)), (NOON - timedelta(days=31), NOON), (None, NOON)],
)
def test_periods_that_can_be(start, end):
    rules.check_period(start=start, end=end, now=NOON)


def test_values_agree_unless_both_tell_and_differ():
    one, two = Decimal(1), Decimal(2)
    assert rules.same_values((one, None, two), (one, two, None))
    assert rules.same_values((one, one, two), (one, one, two))
    assert not rules.same_values((one, None, None), (two, None, None))
    assert not rules.same_values((one, one, None), (one, two, None))


def test_statuses_are_those_of_the_contract():
    assert {status.value for status in ReadingStatus} == {
        "pending",
        "held",
        "not_minted",
        "minting",
        "in_doubt",
        "retrying",
        "failed",
        "minted",
    }
