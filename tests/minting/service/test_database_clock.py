"""The database's own clock is set: leases and due times go by it, safety does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from unittest.mock import patch

import pytest
from django.db import connection, transaction

from minting import journal
from minting.engine.retries import RetryPolicy
from minting.journal import Refusal
from minting.models import MintBatch, MintResult, MintSlice, MintTransaction
from minting.service.drive import journal_file
from minting.service.drive.recover import slices_wait
from minting.service.requests.retry import retry_due
from minting.tasks import look
from tests.factories.readings import MeterReadingFactory
from tests.minting.service.test_recovery import assert_minted_once, queue

pytestmark = pytest.mark.django_db(transaction=True)

DAY = timedelta(days=1)

# Found before PostgreSQL's own, by every statement of this session.
SHIM = """
CREATE SCHEMA shim;
CREATE TABLE shim.clock (ahead interval NOT NULL);
INSERT INTO shim.clock VALUES ('0');
CREATE FUNCTION shim.now() RETURNS timestamptz LANGUAGE sql STABLE
    AS 'SELECT pg_catalog.now() + ahead FROM shim.clock';
CREATE FUNCTION shim.statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE
    AS 'SELECT pg_catalog.statement_timestamp() + ahead FROM shim.clock';
SET search_path TO shim, pg_catalog, public;
"""


@pytest.fixture
def set_clock() -> Iterator[Callable[[timedelta], None]]:
    """Sets what the database takes for now, so far ahead of the truth."""

    def set_(ahead: timedelta) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE shim.clock SET ahead = %s * interval '1 s'", [ahead.total_seconds()]
            )

    with connection.cursor() as cursor:
        cursor.execute(SHIM)
    yield set_
    with connection.cursor() as cursor:
        cursor.execute("RESET search_path; DROP SCHEMA shim CASCADE")


def test_leases_that_a_set_clock_ends_or_stretches_mint_nothing_twice(
    minting_chain, drain, set_clock
):
    reading = MeterReadingFactory()
    queue(reading)
    append = journal_file.append
    taken = []

    def a_day_later(*args, **options):
        """Signed, not journalled: the lease is over at once, and somebody else takes the slice."""
        path = append(*args, **options)
        set_clock(DAY)
        with transaction.atomic():
            taken.extend(journal.claim_slices(worker="another", limit=1))
        return path

    with patch.object(journal_file, "append", a_day_later):
        look()

    assert len(taken) == 1
    assert not MintTransaction.objects.exists(), "what was signed under the old claim is forgotten"

    set_clock(-DAY)
    assert not slices_wait(), "the other's lease lies two days ahead"
    with transaction.atomic():
        assert journal.renew_claims(taken) == {taken[0].slice_id}
    set_clock(timedelta())
    assert slices_wait(), "renewed by a clock that was behind, it is over when that is set right"
    set_clock(-DAY)
    assert not slices_wait()
    with transaction.atomic():
        assert journal.release_of_the_dead(worker="another") == 1, "no lease is waited for"
    drain()

    assert_minted_once(minting_chain, reading)
    assert MintTransaction.objects.count() == 1
    assert MintSlice.objects.get().deaths == 0


def test_a_retry_whose_time_comes_twice_is_made_once(minting_chain, drain, set_clock):
    reading = MeterReadingFactory()
    first = queue(reading)
    result = MintResult.objects.get()
    policy = RetryPolicy(max_attempts=3, initial_delay=300, multiplier=Decimal(2), max_delay=3600)
    refusal = Refusal((result.id,), "node_unreachable", "no node answered", permanent=False)
    with transaction.atomic():
        journal.refuse_results([refusal], retry=policy)

    made = []
    for ahead in (-DAY, DAY, -DAY, DAY):
        set_clock(ahead)
        made.append(retry_due().batches)
    drain()

    assert made == [0, 1, 0, 0]
    assert MintBatch.objects.get(retry_of=first).status == "succeeded"
    assert_minted_once(minting_chain, reading)
