"""What a wave costs: neither questions to the node nor statements grow with the readings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from minting import journal
from minting.engine.types import Commitment
from minting.journal import Refusal
from minting.models import BatchSource, MintBatch, MintResult, MintTransaction
from minting.service.drive import wave
from minting.service.plan import faults
from minting.service.requests.prepare import request_batch
from minting.tasks import look
from readings.models import MeterReading
from tests.factories.village import harvest, village

pytestmark = pytest.mark.django_db(transaction=True)

BASE_UNITS = 250_000_000
"""Of each reading."""


def queue(readings: list[MeterReading]) -> MintBatch:
    return request_batch([reading.id for reading in readings], source=BatchSource.CLI, strict=True)


def counted(step: Callable[..., Any], statements: Counter[str]) -> Callable[..., Any]:
    """A step of the journal that notes the most statements that one call of it took."""

    def noted(*args: Any, **options: Any) -> Any:
        with CaptureQueriesContext(connection) as captured:
            answer = step(*args, **options)
        name = step.__name__
        statements[name] = max(statements[name], len(captured))
        return answer

    return noted


def statements_of(readings: list[MeterReading], drain) -> tuple[dict[str, int], int]:
    """Statements a call of what a wave does to the database, and the wave's transactions."""
    statements: Counter[str] = Counter()
    batch = queue(readings)
    landed = counted(journal.record_landed, statements)

    def confirmed(landings, **options):
        # Both kinds at once would count twice.
        told = [replace(each, commitment=Commitment.CONFIRMED) for each in landings]
        return landed(told, **options)

    with (
        patch.object(journal, "record_signed", counted(journal.record_signed, statements)),
        patch.object(journal, "record_sent", counted(journal.record_sent, statements)),
        patch.object(journal, "record_landed", confirmed),
    ):
        drain()
    batch.refresh_from_db()
    assert batch.successful_mints == len(readings)
    return dict(statements), batch.transactions.count()


def test_statements_do_not_grow_with_readings_or_transactions(minting_chain, drain, settings):
    few, one = statements_of(harvest(village(1), each=10), drain)
    settings.BLOCKCHAIN_MAX_TOKENS_PER_TRANSACTION = 10 * BASE_UNITS
    many, hundred = statements_of(harvest(village(10), each=100), drain)

    assert (one, hundred) == (1, 100)
    assert few == many
    assert set(few) == {"record_signed", "record_sent", "record_landed"}


def test_statements_do_not_grow_with_what_is_refused(minting_chain):
    taken = []
    for readings in (harvest(village(1)), harvest(village(100), each=5)):
        batch = queue(readings)
        refusals = [
            Refusal((id_,), f"code_{number % 3}", f"because of {id_}", permanent=bool(number % 2))
            for number, id_ in enumerate(batch.results.values_list("id", flat=True))
        ]
        with CaptureQueriesContext(connection) as captured, transaction.atomic():
            assert journal.refuse_results(refusals) == len(readings)
        taken.append(len(captured))
        batch.refresh_from_db()
        assert (batch.status, batch.failed_mints) == ("failed", len(readings))
        told = {
            id_: (code, error, permanent)
            for id_, code, error, permanent in batch.results.values_list(
                "id", "error_code", "error", "permanent"
            )
        }
        assert told == {
            each.result_ids[0]: (each.code, each.reason, each.permanent) for each in refusals
        }
        codes = {result.reading_id: result.error_code for result in batch.results.all()}
        for reading in MeterReading.objects.filter(id__in=codes):
            assert (reading.status, reading.code) == ("failed", codes[reading.id])

    assert taken[0] == taken[1]


def test_the_node_is_asked_once_for_what_a_wave_shares(minting_chain):
    """Simulating and sending are by transaction, the rest by wave."""
    villagers = village(130)
    for new in (True, False):
        batch = queue(harvest(villagers))
        before = minting_chain.net.requests.copy()
        look()
        asked = minting_chain.net.requests - before

        transactions = batch.transactions.count()
        assert transactions == (13 if new else 3)
        assert asked.pop("simulateTransaction") == transactions
        assert asked.pop("sendTransaction") >= transactions
        assert asked.pop("getMultipleAccounts") == 1  # mint and payer; the plan's are believed
        assert asked.pop("getSignatureStatuses") <= 8
        assert asked.pop("getGenesisHash") == (1 + new)  # the gate looks at first on one node
        # Prices, format and what bounds the heights are known since the request; simulations tell
        # the blockhash.
        assert set(asked) <= {"getSignaturesForAddress"}


def test_prices_are_not_asked_again_by_the_next_task(minting_chain, drain):
    villagers = village(2)
    queue(harvest(villagers))
    drain()
    queue(harvest(villagers))
    before = minting_chain.net.requests.copy()

    look()

    asked = minting_chain.net.requests - before
    assert not set(asked) & {"getFeeForMessage", "getMinimumBalanceForRentExemption", "getVersion"}
    assert MintResult.objects.filter(success=True).count() == 4


@pytest.fixture
def thousand(minting_chain, drain):
    """A thousand wallets with token accounts, a new reading of each, and their batch."""
    villagers = village(1_000)
    queue(harvest(villagers))
    drain()
    return villagers, queue(harvest(villagers))


def test_i8_one_bad_wallet_in_a_thousand_costs_one_simulation(minting_chain, drain, thousand):
    villagers, batch = thousand
    learn = faults.learn
    before = minting_chain.net.requests["simulateTransaction"]

    async def frozen_meanwhile(session, terms, plans):
        minting_chain.freeze_now(villagers[500].wallet.address)
        return await learn(session, terms, plans)

    with patch.object(wave, "learn", frozen_meanwhile):
        drain()

    batch.refresh_from_db()
    simulated = minting_chain.net.requests["simulateTransaction"] - before
    assert (batch.successful_mints, batch.failed_mints) == (999, 1)
    assert (batch.transactions.count(), simulated) == (17, 18)
    failed = MintResult.objects.get(batch=batch, success=False)
    assert (failed.wallet_address, failed.error_code) == (
        villagers[500].wallet.address,
        "account_frozen",
    )


def test_i8_a_landed_error_in_a_thousand_costs_one_transaction(minting_chain, drain, thousand):
    """Frozen between simulation and landing: one is taken apart, sixteen are as they were."""
    villagers, batch = thousand
    send = wave.send
    before = minting_chain.net.requests["simulateTransaction"]

    def frozen_before_sending(session, flights):
        minting_chain.freeze_now(villagers[500].wallet.address)
        return send(session, flights)

    with patch.object(wave, "send", frozen_before_sending):
        drain()

    batch.refresh_from_db()
    simulated = minting_chain.net.requests["simulateTransaction"] - before
    assert (batch.successful_mints, batch.failed_mints) == (999, 1)
    assert MintTransaction.objects.filter(batch=batch, status="failed").count() == 1
    assert (batch.transactions.count(), simulated) == (18, 18)
    assert MintResult.objects.get(batch=batch, success=False).error_code == "account_frozen"
