"""No list of a large table reads more than it shows and counts, whatever it is asked for.

Rows that a plan touched are the measure: they tell an index from a walk at any speed, and on any
machine. A planner may well scan a small table: even owners and meters, 30,000 here, are three times
what may be read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.models import Model
from django.http import HttpResponse
from django.test.utils import CaptureQueriesContext

from bench import million
from bench.copying import FILLED
from bench.lists import ADMIN_LISTS, Ask, asks, measure
from minting.models import MintInfo
from readings.admin import lists

READINGS, READINGS_A_METER = 60_000, 2
COUNTED = 300
"""In place of 10,000."""
MOST_ROWS = 10_000
"""That one request may read in all: what it counts, skips, joins and shows."""
MOST_QUERIES = 13
"""Four of them tell what frames every page: the inbox's two counts and the two banners."""

WALKS = re.compile(r"period_before=\S+ ordering=-submitted_at|meters/stats")
"""The one combination that walks (docs/lists.md): by submission, newest first, only old periods.
And the sums over all readings, which are what they are."""

BROAD = re.compile(
    "admin (wallets|meters): search for (beginning of all|family name|location)"
    "|admin results: status__exact=confirmed"
)
"""What a large part of the registry is called: two of its tables may be read, once each. And what
is so rare here that the planner, as its sample falls out, walks the newest, not the index."""

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def _month(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Committed, so that statistics and visibility are those of a table in use."""
    with django_db_blocker.unblock(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(million, "READINGS_A_METER", READINGS_A_METER)
        million.fill(READINGS)
        yield
        models: list[type[Model]] = [*FILLED, MintInfo]
        tables = ", ".join(model._meta.db_table for model in models)
        with connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {tables} CASCADE")


@pytest.fixture
def month(_month: None, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "COUNTED", COUNTED)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def rows_read(sql: str) -> int:
    """Rows of tables that a query looked at, those that a filter threw away included."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}")
        (told,) = cursor.fetchone()
    plan = (json.loads(told) if isinstance(told, str) else told)[0]["Plan"]
    return sum(
        round(each["Actual Loops"] * (each["Actual Rows"] + each.get("Rows Removed by Filter", 0)))
        for each in nodes(plan)
        if "Relation Name" in each
    )


def check(ask: Ask) -> list[str]:
    """What is wrong with a list."""
    with CaptureQueriesContext(connection) as captured:
        assert ask.send().status_code == 200
    queries = [each["sql"] for each in captured]
    ours = [
        sql for sql in queries if sql.startswith("SELECT") and re.search("(minting|readings)_", sql)
    ]
    rows = sum(map(rows_read, ours))
    most = 2 * READINGS // READINGS_A_METER if BROAD.search(ask.name) else MOST_ROWS
    told = {
        f"{rows:,} rows": rows > most,
        f"{len(queries)} queries": len(queries) > MOST_QUERIES,
    }
    return [f"{ask.name}: {what}" for what, too_many in told.items() if too_many]


@pytest.mark.parametrize(
    "which", ["GET", *(f"admin {each._meta.verbose_name_plural}" for each in ADMIN_LISTS)]
)
def test_no_list_reads_more_than_it_shows_and_counts(month: None, which: str):
    asked, wrong = 0, []
    for ask in asks(mint=False):  # each while who asks is there
        if ask.name.startswith(which) and not WALKS.search(ask.name):
            asked += 1
            wrong += check(ask)
    assert not wrong, "\n".join(wrong)
    assert asked > 15


def test_a_walk_is_seen(month: None):
    """The measure can fail."""
    sql = "SELECT id FROM readings_meterreading WHERE energy_generated = 0.123456789"
    assert rows_read(sql) >= READINGS


def test_timings_tell_queries_and_whether_the_aim_is_met(month: None):
    (timing,) = measure(repeat=1, only="admin owners: first page")
    assert 0 < timing.p50 <= timing.p95
    assert 0 < timing.queries <= MOST_QUERIES
    assert timing.ok is (timing.p50 < timing.limit)


def test_an_answer_that_is_none_is_not_timed(month: None, monkeypatch: pytest.MonkeyPatch):
    broken = Ask("broken", lambda: HttpResponse(status=500), 1.0)
    monkeypatch.setattr("bench.lists.asks", lambda **_: [broken])
    with pytest.raises(AssertionError, match="broken: 500"):
        measure(repeat=1)
