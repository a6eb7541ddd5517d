"""``GET readings``: filters, pages, and what became of each."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.db.models import Q
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from minting.engine.states import ResultStatus
from minting.journal.results import move_results
from minting.models import MintResult
from readings import intake
from readings.models import MeterReading
from tests.factories.readings import (
    MeterReadingFactory,
    WalletFactory,
    address,
    household,
    outsider,
    solar_farm,
)
from tests.minting.api.asserts import problem
from tests.minting.api.history import queued_batch

pytestmark = pytest.mark.django_db

PATH = "/api/v1/readings"


def ids(response: Any) -> list[str]:
    assert response.status_code == 200, response.content
    return [each["id"] for each in response.json()["results"]]


def test_one_reading(reader: APIClient) -> None:
    reading = household().reading(kwh_amount=Decimal("0.1"))

    told = reader.get(f"{PATH}/{reading.id}").json()

    assert told["kwh_amount"] == "0.100000000"
    assert told["meter_serial"] == "HOUSE-1"
    assert told["owner"] == "anong"
    assert told["wallet_address"] == address("anong")
    assert told["tx_signature"] is told["code"] is None
    assert set(told) == {
        "id", "meter_serial", "owner", "wallet_address", "kwh_amount", "period_start",
        "period_end", "status", "code", "tx_signature", "submitted_at",
    }  # fmt: skip


def test_nobodys_reading(reader: APIClient) -> None:
    reading = MeterReadingFactory(owner=None, status="held", code="no_wallet")

    told = reader.get(f"{PATH}/{reading.id}").json()
    assert (told["owner"], told["wallet_address"], told["code"]) == (None, None, "no_wallet")


def test_unknown_ids(reader: APIClient) -> None:
    told = problem(reader.get(f"{PATH}/{uuid4()}"), 404, "unknown_reading")
    assert told["reading_id"]
    problem(reader.get(f"{PATH}/not-an-id"), 404, "not_found")
    problem(reader.get("/api/v1/nothing-here"), 404, "not_found")
    problem(reader.delete(PATH), 405, "method_not_allowed")


def test_the_wallet_of_a_result_outlives_the_owners(reader: APIClient) -> None:
    house = household()
    reading = house.reading()
    queued_batch([reading])
    intake.register_wallet(owner=house.owner, address=address("new"))
    other = house.reading()

    assert reader.get(f"{PATH}/{reading.id}").json()["wallet_address"] == address("anong")
    assert reader.get(f"{PATH}/{other.id}").json()["wallet_address"] == address("new")
    assert ids(reader.get(PATH, {"wallet": address("anong")})) == [str(reading.id)]
    assert ids(reader.get(PATH, {"wallet": address("new")})) == [str(other.id)]


def test_the_signature_is_the_last_results(reader: APIClient) -> None:
    reading = household().reading()
    queued_batch([reading])
    MintResult.objects.update(tx_signature="5" * 88)

    assert reader.get(f"{PATH}/{reading.id}").json()["tx_signature"] == "5" * 88

    with transaction.atomic():
        move_results(
            Q(reading=reading),
            old={ResultStatus.PENDING},
            new=ResultStatus.FAILED,
            code="frozen_account",
            reason="frozen",
        )
    MintResult.objects.update(tx_signature="")
    told = reader.get(f"{PATH}/{reading.id}").json()
    assert (told["status"], told["code"], told["tx_signature"]) == (
        "failed",
        "frozen_account",
        None,
    )


# ------------------------------------------------------------------ filters


def test_filters(reader: APIClient) -> None:
    house, farm, other = household(), solar_farm(), outsider()
    mine = house.reading()
    large = farm.reading(status="held", code="reading_too_large")
    walletless = other.reading(status="held", code="no_wallet")

    def found(**wanted: str) -> set[str]:
        return set(ids(reader.get(PATH, wanted)))

    assert found(status="pending") == {str(mine.id)}
    assert found(status="held") == {str(large.id), str(walletless.id)}
    assert found(status="held", meter="FARM-1") == {str(large.id)}
    assert found(owner="niran") == {str(walletless.id)}
    assert found(wallet=address("farm")) == {str(large.id)}
    assert found(wallet=address("stranger")) == set()
    assert found(meter="FARM") == set()
    assert len(found(status="", something="else")) == 3


def test_two_owners_may_share_a_wallet(reader: APIClient) -> None:
    shared = address("landlord")
    readings = [MeterReadingFactory(owner=WalletFactory(address=shared).owner) for _ in range(2)]

    assert set(ids(reader.get(PATH, {"wallet": shared}))) == {str(each.id) for each in readings}


def test_periods_lie_between(reader: APIClient) -> None:
    house = household()
    newest, middle, oldest = (house.reading() for _ in range(3))
    assert newest.period_start > middle.period_start > oldest.period_start

    def found(**wanted: Any) -> list[str]:
        return ids(reader.get(PATH, wanted | {"ordering": "period_end"}))

    assert found(period_after=middle.period_start.isoformat()) == [str(middle.id), str(newest.id)]
    assert found(period_before=middle.period_end.isoformat()) == [str(oldest.id), str(middle.id)]
    assert found(
        period_after=middle.period_start.isoformat(), period_before=middle.period_end.isoformat()
    ) == [str(middle.id)]
    zulu = middle.period_end.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert found(period_before=zulu) == [str(oldest.id), str(middle.id)]
    assert found(period_before="1971-01-01") == []


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ({"status": "eaten"}, "status"),
        ({"period_after": "yesterday"}, "period_after"),
        ({"meter": "a\x00b"}, "meter"),
        ({"page_size": "0"}, "page_size"),
        ({"page_size": "-1"}, "page_size"),
        ({"page_size": "many"}, "page_size"),
        ({"page_size": "²"}, "page_size"),
        ({"ordering": "owner__email"}, "ordering"),
        ({"ordering": "--submitted_at"}, "ordering"),
        ({"cursor": "rubbish"}, "cursor"),
        ({"cursor": "é"}, "cursor"),
        ({"cursor": "WzEsMl0"}, "cursor"),
        # Decoded: a cursor of this ordering, with a moment and an id that are none.
        ({"cursor": "WyItc3VibWl0dGVkX2F0IiwgZmFsc2UsICJuZXZlciIsICJ4Il0"}, "cursor"),
    ],
)
def test_a_wrong_parameter_is_named(reader: APIClient, wanted: dict[str, str], name: str) -> None:
    told = problem(reader.get(PATH, wanted), 400, "invalid_request")

    assert name in told["message"]


# ------------------------------------------------------------------ pages


def walk(client: APIClient, path: str, wanted: dict[str, Any], direction: str = "next") -> Any:
    """All pages, as lists of ids, following the links."""
    response = client.get(path, wanted)
    while True:
        assert response.status_code == 200, response.content
        yield response.json()
        link = response.json()[direction]
        if link is None:
            return
        response = client.get(link)


def page_ids(page: dict[str, Any]) -> list[str]:
    return [each["id"] for each in page["results"]]


@pytest.mark.parametrize("ordering", ["submitted_at", "-submitted_at", "-period_end", "period_end"])
def test_pages_tell_every_row_once_there_and_back(reader: APIClient, ordering: str) -> None:
    house, now = household(), timezone.now()
    for _ in range(7):
        # As an import does: many that came in at the same moment.
        house.reading(submitted_at=now)
    for _ in range(4):
        house.reading(submitted_at=now - timedelta(hours=1))
    column = ordering.lstrip("-")
    expected = [
        str(each.id)
        for each in sorted(
            MeterReading.objects.all(),
            key=lambda each: (getattr(each, column), each.id.bytes),
            reverse=ordering.startswith("-"),
        )
    ]

    pages = list(walk(reader, PATH, {"ordering": ordering, "page_size": 3}))

    assert [len(page["results"]) for page in pages] == [3, 3, 3, 2]
    assert [each for page in pages for each in page_ids(page)] == expected
    assert pages[0]["previous"] is None
    last = pages[-1]["previous"]
    backward = [pages[-1], *walk(reader, last, {}, "previous")]
    assert [page_ids(page) for page in reversed(backward)] == [page_ids(page) for page in pages]
    assert set(pages[0]) == {"next", "previous", "results"}


def test_a_page_that_just_fits_is_the_last(reader: APIClient) -> None:
    house = household()
    for _ in range(4):
        house.reading()

    pages = list(walk(reader, PATH, {"page_size": 2}))
    assert len(pages) == 2
    assert reader.get(PATH, {"page_size": 4}).json()["next"] is None


def test_what_comes_in_meanwhile_shifts_nothing(reader: APIClient) -> None:
    house = household()
    old = [house.reading() for _ in range(4)]
    first = reader.get(PATH, {"page_size": 2}).json()
    house.reading(submitted_at=timezone.now() + timedelta(hours=1))

    second = reader.get(first["next"]).json()

    assert {*page_ids(first), *page_ids(second)} == {str(each.id) for each in old}


def test_links_keep_the_filters(reader: APIClient) -> None:
    house = household()
    for status in ("pending", "minting", "pending", "minting", "pending"):
        house.reading(status=status)

    pages = walk(reader, PATH, {"status": "pending", "page_size": 2})
    assert [len(page["results"]) for page in pages] == [2, 1]


def test_a_cursor_of_another_ordering_is_refused(reader: APIClient) -> None:
    house = household()
    for _ in range(2):
        house.reading()
    link = reader.get(PATH, {"page_size": 1}).json()["next"]

    problem(reader.get(link + "&ordering=period_end"), 400, "invalid_request")


def test_a_page_is_fifty_and_a_thousand_at_most(reader: APIClient) -> None:
    house = household()
    first = house.reading()
    MeterReading.objects.bulk_create(
        MeterReading(
            meter=house.meter,
            owner=house.owner,
            kwh_amount=1,
            period_start=first.period_start - timedelta(minutes=15 * at),
            period_end=first.period_end - timedelta(minutes=15 * at),
            period_kind="interval",
            status="pending",
            verification="verified",
            source="api",
        )
        for at in range(1, 1_003)
    )

    assert len(ids(reader.get(PATH))) == 50
    assert len(ids(reader.get(PATH, {"page_size": 5_000}))) == 1_000


def test_the_number_of_queries_does_not_grow(reader: APIClient) -> None:
    def count(path: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            assert reader.get(path).status_code == 200
        return len(queries)

    queued_batch([MeterReadingFactory()])
    few = count(PATH)
    queued_batch([MeterReadingFactory() for _ in range(10)])
    for _ in range(10):
        MeterReadingFactory()

    assert count(PATH) == few
    assert few <= 3  # two of them find the token
