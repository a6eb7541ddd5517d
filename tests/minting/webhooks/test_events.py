"""What is told of minting: each ending once, failures together, doubts and their end."""

from __future__ import annotations

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from minting import journal
from minting.engine.types import Commitment
from minting.journal import Expiry, Landing, OnChainError, Refusal
from minting.models import BatchSource, MintBatch, MintTransaction, WebhookEndpoint, WebhookEvent
from minting.service.chain.session import open_session
from minting.service.describe import describe_batch
from minting.service.drive.recover import recover
from minting.service.requests.cancel import cancel_batch
from minting.service.requests.prepare import request_batch
from minting.service.requests.retry import retry_due
from readings.models import Owner
from tests.factories.readings import MeterReadingFactory, keypair
from tests.factories.village import harvest, village
from tests.minting.admin import journal as made
from tests.minting.service.test_refusals import reading_of
from tests.minting.service.test_retry import fail, make_due
from tests.minting.webhooks.conftest import send

pytestmark = pytest.mark.django_db(transaction=True)


def queue(*readings) -> MintBatch:
    return request_batch([reading.id for reading in readings], source=BatchSource.CLI, strict=True)


def test_success_failure_and_cancelling_are_each_told_once(minting_chain, drain, line):
    frozen = [reading_of("frozen-told"), reading_of("good-told")]
    minting_chain.freeze(str(keypair("frozen-told").pubkey()))
    partly = queue(*frozen)
    drain()
    minted = queue(MeterReadingFactory())
    drain()
    cancelled = queue(MeterReadingFactory())
    cancel_batch(cancelled.id, by="somchai")
    send()

    told = line.receiver.verified(line.secret)
    failed, *ended = told
    assert failed["type"] == "reading.failed"
    assert failed["data"]["batch_id"] == str(partly.id)
    [reading] = failed["data"]["readings"]
    assert (reading["reading_id"], reading["code"]) == (str(frozen[0].id), "account_frozen")
    assert reading["reason"]
    assert [each["type"] for each in ended] == ["batch.finished"] * 3
    for each, batch, status in zip(
        ended,
        (partly, minted, cancelled),
        ("partially_succeeded", "succeeded", "cancelled"),
        strict=True,
    ):
        batch.refresh_from_db()
        assert each["data"] == describe_batch(batch, with_results=False)
        assert each["data"]["status"] == status
    assert ended[0]["data"]["fee_paid_lamports"] > 0
    words = b"".join(got.body for got in line.receiver.got)
    for owner in Owner.objects.all():
        assert owner.name.encode() not in words
        assert owner.user_id.encode() not in words
    assert b"somchai" not in words


def test_doubt_and_its_end_are_told_and_a_fork_opens_a_batch_again(minting_chain, drain, line):
    queue(MeterReadingFactory())
    drain()
    row = MintTransaction.objects.get()
    with transaction.atomic():
        assert journal.record_vanished(row.id)
    with transaction.atomic():
        assert journal.record_doubt(row.id, {"why": "silent"})  # in doubt already
    landing = Landing(row.id, row.slot or 0, Commitment.CONFIRMED)
    for _ in range(2):
        with transaction.atomic():
            journal.record_landed([landing], success_at=Commitment.CONFIRMED)
    with open_session() as session:
        recover(session)
    send()

    told = line.receiver.verified(line.secret)
    assert [each["type"] for each in told] == [
        "batch.finished",
        "transaction.in_doubt",
        "batch.reopened",
        "transaction.resolved",
        "batch.finished",
    ]
    doubt, reopened, resolved = (each["data"] for each in told[1:4])
    assert (doubt["status"], resolved["status"]) == ("sent", "confirmed")
    assert (doubt["signature"], doubt["readings"]) == (row.signature, 1)
    assert doubt["base_units"] == str(row.base_units)
    assert (reopened["status"], reopened["pending_mints"]) == ("running", 1)


def test_thousands_of_failures_are_a_few_messages_in_one_statement(minting_chain, line):
    statements = []
    for size in (10, 2_500):
        batch = queue_many(size)
        ids = list(batch.results.values_list("id", flat=True))
        with CaptureQueriesContext(connection) as captured, transaction.atomic():
            journal.refuse_results(
                [Refusal((id_,), "account_frozen", "It is frozen", permanent=True) for id_ in ids]
            )
        statements.append(len(captured))
    told_of = sum("webhook" in query["sql"] for query in captured)
    WebhookEndpoint.objects.update(events=["minting.stopped"])
    silent = queue_many(10)
    with CaptureQueriesContext(connection) as unheard, transaction.atomic():
        journal.refuse_results(
            [Refusal(tuple(silent.results.values_list("id", flat=True)), "c", "r", permanent=True)]
        )
    WebhookEndpoint.objects.update(events=["reading.failed", "batch.finished"])
    send()

    assert statements[0] == statements[1]
    assert told_of == 2
    assert sum("webhook" in query["sql"] for query in unheard) == 2
    told = line.receiver.verified(line.secret)
    assert [each["type"] for each in told].count("batch.finished") == 2
    sizes = [len(each["data"]["readings"]) for each in told if each["type"] == "reading.failed"]
    assert sizes == [10, 1000, 1000, 500]
    assert max(len(got.body) for got in line.receiver.got) < 150_000


def queue_many(size: int) -> MintBatch:
    readings = harvest(village(1), each=size)
    return request_batch(
        [reading.id for reading in readings], source=BatchSource.CLI, strict=True, nudge=False
    )


def test_a_failure_that_is_tried_again_is_told_when_no_attempt_is_left(
    minting_chain, line, settings
):
    settings.TOKENIZATION_MAX_RETRY_ATTEMPTS = 1
    batch = queue(MeterReadingFactory())
    fail(batch)
    make_due()
    retry_due()
    fail(MintBatch.objects.latest("id"))
    send()

    told = line.receiver.verified(line.secret)
    assert [each["type"] for each in told] == ["batch.finished", "reading.failed", "batch.finished"]
    assert told[1]["data"]["batch_id"] == told[2]["data"]["id"] != str(batch.id)


def test_a_wave_costs_nothing_more(minting_chain, drain, line):
    queue(MeterReadingFactory(), MeterReadingFactory())
    with CaptureQueriesContext(connection) as captured:
        drain()

    told = [query["sql"] for query in captured if "minting_webhook" in query["sql"]]
    journal_writes = [sql for sql in told if sql.lstrip().startswith("INSERT")]
    assert len(journal_writes) == 1  # the batch's end
    assert WebhookEvent.objects.count() == 1


@pytest.mark.parametrize("end", ["expired", "failed", "finalized"])
def test_every_end_of_a_doubt_is_told(line, end):
    row = made.doubtful_batch().transactions.get()
    MintTransaction.objects.filter(id=row.id).update(doubted_at=None)
    with transaction.atomic():
        journal.record_doubt(row.id, {"why": "silent"})
        journal.record_doubt(row.id, {"why": "still silent"})
    for _ in range(2):
        with transaction.atomic():
            match end:
                case "expired":
                    journal.record_expired(Expiry(row.id, {"verdict": "dead"}))
                case "failed":
                    error = OnChainError(row.id, 7, "InsufficientFunds")
                    journal.record_failed(error, code="landed_with_error", reason="It failed")
                case "finalized":
                    landing = Landing(row.id, 7, Commitment.FINALIZED)
                    journal.record_landed([landing], success_at=Commitment.FINALIZED)
    send()

    told = line.receiver.verified(line.secret)
    about = [each for each in told if each["type"].startswith("transaction.")]
    assert [each["type"] for each in about] == ["transaction.in_doubt", "transaction.resolved"]
    assert about[1]["data"]["status"] == end
    assert about[1]["data"]["slot"] == (None if end == "expired" else 7)
