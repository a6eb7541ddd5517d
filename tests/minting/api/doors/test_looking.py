"""What operators' scripts and the trading UI read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from minting.access.scopes import Scope
from tests.factories.readings import household, last_quarter, outsider, solar_farm
from tests.minting.api.asserts import problem

pytestmark = pytest.mark.django_db

UNMINTED = "/api/admin/meters/unminted"
MINE = "/api/v1/meters/readings"
STATS = "/api/v1/meters/stats"


def instant(moment):
    return moment.isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize("path", [UNMINTED, MINE, STATS])
def test_only_who_may_read_looks(machine: Callable[..., APIClient], path: str) -> None:
    problem(APIClient().get(path), 401, "not_authenticated")
    problem(machine(Scope.SUBMIT, Scope.MINT).get(path), 403, "permission_denied")


def test_the_operators_list_is_a_bare_array_of_what_is_not_minted_yet(reader: APIClient) -> None:
    house, none = household(), outsider()
    house.reading(status="minted")
    house.reading(kwh_amount=0, status="not_minted", code="consumption")
    pending = house.reading(kwh_amount=Decimal("0.5"))
    held = none.reading(status="held", code="no_wallet", kwh_amount=Decimal("0.25"))
    failed = solar_farm().reading(status="failed", code="account_frozen", kwh_amount=Decimal(3))

    told = reader.get(UNMINTED, {"sort_by": "kwh_amount", "sort_order": "asc"}).json()

    assert [each["id"] for each in told] == [str(each.id) for each in (held, pending, failed)]
    assert told[0]["user_id"] == "niran"
    assert told[0]["wallet_address"] is None
    assert told[1] == {
        "id": str(pending.id),
        "user_id": "anong",
        "wallet_address": house.wallet.address,
        "kwh_amount": "0.500000000",
        "reading_timestamp": instant(pending.period_end),
        "submitted_at": instant(pending.submitted_at),
        "minted": False,
        "mint_tx_signature": None,
    }


def test_the_operators_list_has_pages_and_orders(reader: APIClient) -> None:
    house = household()
    newest_first = [house.reading() for _ in range(5)]
    ids = [str(each.id) for each in newest_first]

    def asked(**query: str | int) -> list[str]:
        return [each["id"] for each in reader.get(UNMINTED, query).json()]

    assert asked() == ids
    assert asked(sort_by="reading_timestamp", sort_order="ASC") == ids[::-1]
    assert asked(page=2, page_size=2) == ids[2:4]
    assert asked(page=4, page_size=2) == []
    assert asked(page_size=10**6) == ids
    for wrong in ({"page": 0}, {"page": "x"}, {"page_size": -1}, {"sort_by": "id"}):
        problem(reader.get(UNMINTED, wrong), 400, "invalid_request")
    problem(reader.get(UNMINTED, {"page": 10**8}), 400, "invalid_request")


def test_the_uis_list_is_a_bare_array_by_time(reader: APIClient) -> None:
    house = household()
    minted = house.reading(status="minted", kwh_amount=Decimal("0.1"))
    older = house.reading(kwh_amount=Decimal(-1), status="not_minted", code="consumption")

    told = reader.get(MINE).json()

    assert told[0] == {
        "id": str(minted.id),
        "meter_serial": "HOUSE-1",
        "kwh": 0.1,
        "timestamp": instant(minted.period_end),
        "submitted_at": instant(minted.submitted_at),
        "minted": True,
        "tx_signature": None,
    }
    assert [each["kwh"] for each in told] == [0.1, -1.0]
    assert [each["id"] for each in reader.get(MINE, {"limit": 1, "offset": 1}).json()] == [
        str(older.id)
    ]
    for wrong in ({"limit": 0}, {"offset": -1}, {"offset": 10**6}):
        problem(reader.get(MINE, wrong), 400, "invalid_request")


def test_stats_are_sums_over_all(reader: APIClient) -> None:
    empty = reader.get(STATS).json()
    assert empty["last_reading_time"] is None
    assert {value for name, value in empty.items() if name != "last_reading_time"} == {0}

    house = household()
    last = last_quarter() + timedelta(minutes=1)
    house.reading(status="minted", energy_generated=2, energy_consumed=1, period_end=last)
    house.reading(energy_generated=Decimal("0.5"))
    outsider().reading(status="held", code="no_wallet")
    house.reading(kwh_amount=-1, status="not_minted", code="consumption", energy_consumed=3)

    assert reader.get(STATS).json() == {
        "total_produced": 2.5,
        "total_consumed": 4.0,
        "last_reading_time": instant(last),
        "total_minted": 0.25,
        "total_minted_count": 1,
        "pending_mint": 0.5,
        "pending_mint_count": 2,
    }


@pytest.mark.parametrize("path", [UNMINTED, MINE])
def test_lists_ask_as_often_for_many_as_for_few(reader: APIClient, path: str) -> None:
    house = household()
    house.reading()
    with CaptureQueriesContext(connection) as few:
        reader.get(path)
    for _ in range(20):
        house.reading()
    with CaptureQueriesContext(connection) as more:
        reader.get(path)
    assert len(few) == len(more)
