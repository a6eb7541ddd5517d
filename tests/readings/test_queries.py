"""What minting is told, and what it tells back."""

from __future__ import annotations

from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from readings import intake, queries
from readings.errors import UnknownReading
from readings.queries import MintableRow, outcomes
from readings.rules import ReadingStatus
from tests.factories.readings import MeterReadingFactory, address

pytestmark = pytest.mark.django_db

PENDING = frozenset({ReadingStatus.PENDING})
STAFF = frozenset({ReadingStatus.PENDING, ReadingStatus.RETRYING, ReadingStatus.FAILED})


def look(*readings, allowed=PENDING):
    return queries.look_for_minting([reading.id for reading in readings], allowed=allowed)


def codes(found):
    return {excluded.reading_id: excluded.code for excluded in found.excluded}


def test_a_row_says_whom_to_pay_where(household):
    reading = household.reading()
    found = look(reading)
    assert found.excluded == []
    assert found.mintable == [
        MintableRow(
            reading_id=reading.id,
            owner_user_id="anong",
            wallet_address=household.wallet.address,
            kwh_amount=Decimal("0.250000000"),
            meter_serial="HOUSE-1",
            allow_off_curve=False,
            allow_program_owned=False,
        )
    ]


def test_the_wallet_is_the_one_of_now_with_its_exceptions(household):
    reading = household.reading()
    intake.register_wallet(
        owner=household.owner,
        address=address("new"),
        allow_program_owned=True,
        exception_reason="Multisig",
    )
    (row,) = look(reading).mintable
    assert (row.wallet_address, row.allow_program_owned) == (address("new"), True)


def test_every_id_is_answered_once_and_in_order(household):
    readings = [household.reading() for _ in range(5)]
    unknown = uuid4()
    ids = [reading.id for reading in readings]
    found = queries.look_for_minting([*reversed(ids), unknown, *ids], allowed=PENDING)
    assert [row.reading_id for row in found.mintable] == sorted(ids)
    assert codes(found) == {unknown: "unknown_reading"}


def test_why_not(household, outsider):
    reading = household.reading
    homeless = outsider.reading()
    excluded = {
        reading(status="minted").id: "already_minted",
        reading(status="minted", is_current=False).id: "already_minted",
        reading(status="minting").id: "being_minted",
        reading(status="in_doubt").id: "being_minted",
        reading(status="held", code="unverified").id: "unverified",
        reading(status="not_minted", code="consumption").id: "consumption",
        reading(status="not_minted", code="superseded", is_current=False).id: "superseded",
        reading(status="failed", is_current=False).id: "superseded",
        reading(status="failed", code="account_frozen").id: "status_not_allowed",
        reading(status="retrying").id: "status_not_allowed",
        reading(kwh_amount=101).id: "reading_too_large",
        homeless.id: "no_wallet",
    }
    found = queries.look_for_minting(list(excluded), allowed=PENDING)
    assert found.mintable == []
    assert codes(found) == excluded
    assert all(one.reason for one in found.excluded)


def test_staff_may_mint_what_failed(household):
    failed = household.reading(status="failed", code="account_frozen")
    retrying, pending = household.reading(status="retrying"), household.reading()
    found = look(failed, retrying, pending, allowed=STAFF)
    assert len(found.mintable) == 3
    assert codes(look(pending, allowed=frozenset({ReadingStatus.FAILED}))) == {
        pending.id: "status_not_allowed"
    }


def test_a_released_reading_may_be_large(household, operator):
    reading = household.reading(kwh_amount=101, status="held", code="reading_too_large")
    intake.release([reading.id], by=operator, reason="A farm")
    assert len(look(reading).mintable) == 1


def test_locking_is_one_query_for_any_number(household):
    ids = [household.reading().id for _ in range(20)]
    with CaptureQueriesContext(connection) as captured:
        assert queries.lock_for_minting([*ids, uuid4()]) == 20
    assert len(captured) == 1
    assert "FOR NO KEY UPDATE" in captured[0]["sql"]


def test_a_walk_goes_from_wallet_to_wallet_in_one_query(household, solar_farm):
    readings = [who.reading() for _ in range(3) for who in (household, solar_farm)]
    unknown = uuid4()
    with CaptureQueriesContext(connection) as captured:
        found = list(
            queries.walk_for_minting([*(each.id for each in readings), unknown], allowed=PENDING)
        )
    assert len(captured) == 1
    *rows, last = found
    assert last.reading_id == unknown
    assert rows == sorted(rows, key=lambda row: (row.wallet_address, row.reading_id.bytes))
    assert {row.reading_id for row in rows} == {reading.id for reading in readings}


def test_a_walk_over_a_query_never_names_an_id(household):
    ids = [household.reading().id for _ in range(3)]
    with CaptureQueriesContext(connection) as captured:
        found = list(queries.walk_for_minting(queries.pending().values("pk"), allowed=PENDING))
    assert {row.reading_id for row in found} == set(ids)
    assert not any(str(id_) in each["sql"] for each in captured for id_ in ids)


def test_looking_locks_nothing(household):
    with CaptureQueriesContext(connection) as captured:
        look(household.reading())
    assert "FOR NO KEY" not in captured[-1]["sql"]


def test_nothing_asked_nothing_found(db):
    assert queries.lock_for_minting([]) == 0
    assert list(queries.walk_for_minting([], allowed=PENDING)) == []


@pytest.mark.django_db(transaction=True)
def test_locks_and_states_want_a_transaction():
    with pytest.raises(RuntimeError):
        queries.lock_for_minting([])
    with pytest.raises(RuntimeError):
        queries.set_status([])


def test_what_became_of_readings_is_written_at_once(household, monkeypatch):
    monkeypatch.setattr(outcomes, "STATUS_CHUNK", 2)
    readings = [household.reading() for _ in range(3)]
    untouched = household.reading()
    result = uuid4()
    with CaptureQueriesContext(connection) as captured:
        queries.set_status(
            [
                (readings[0].id, "minting", "", result),
                (readings[1].id, ReadingStatus.FAILED, "account_frozen", result),
                (readings[2].id, "minted", "", None),
            ]
        )
    assert len(captured) == 2
    for reading in (*readings, untouched):
        reading.refresh_from_db()
    assert [(r.status, r.code, r.last_result_id) for r in (*readings, untouched)] == [
        ("minting", "", result),
        ("failed", "account_frozen", result),
        ("minted", "", None),
        ("pending", "", None),
    ]


def test_a_state_of_nothing_is_an_error(household):
    reading, unknown = household.reading(), uuid4()
    with pytest.raises(UnknownReading, match=str(unknown)), transaction.atomic():
        queries.set_status([(reading.id, "minting", "", None), (unknown, "minting", "", None)])
    reading.refresh_from_db()
    assert reading.status == "pending"


@pytest.mark.parametrize(("status", "code"), [("lost", ""), ("held", "")])
def test_a_state_that_is_none_is_refused_by_the_database(household, status, code):
    reading = household.reading()
    with pytest.raises(IntegrityError), transaction.atomic():
        queries.set_status([(reading.id, status, code, None)])


@pytest.mark.parametrize("status", ["pending", "minting", "minted"])
def test_a_status_with_nothing_to_explain_drops_the_code(household, status):
    reading = household.reading(status="failed", code="account_frozen")
    queries.set_status([(reading.id, ReadingStatus(status), "cancelled", None)])
    reading.refresh_from_db()
    assert (reading.status, reading.code) == (status, "")


def test_pending_is_what_may_be_minted_without_asking(household, solar_farm):
    readings = [who.reading() for who in (household, solar_farm)]
    household.reading(status="minted")
    household.reading(status="held", code="unverified")
    assert set(queries.pending()) == set(readings)


def test_small_owners_are_held_back_until_it_is_worth_it(household, solar_farm):
    household.reading(kwh_amount=1)
    farm = [solar_farm.reading(kwh_amount=1) for _ in range(2)]
    assert set(queries.pending(min_owner_kwh=Decimal(2))) == set(farm)


def test_display_shows_the_wallet_of_now_in_one_query(household, outsider):
    ids = [household.reading().id, outsider.reading().id, MeterReadingFactory(owner=None).id]
    with CaptureQueriesContext(connection) as captured:
        shown = {
            reading.meter.serial: (
                reading.owner and reading.owner.name,
                reading.owner_wallet_address,
            )
            for reading in queries.readings_for_display(ids)
        }
    assert len(captured) == 1
    assert shown["HOUSE-1"] == ("Anong Srisuk", household.wallet.address)
    assert shown["OUTSIDE-1"] == ("Niran Boonmee", None)
