"""I1: one live result per reading, whoever races."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.contrib.auth import get_user_model
from django.db import IntegrityError, connection, transaction

from minting.engine.errors import BlockchainError
from minting.models import (
    BatchSource,
    MintBatch,
    MintResult,
    MintSelection,
    MintSelectionItem,
    MintTransaction,
)
from minting.service.requests.prepare import MATCHING, request_batch
from minting.tasks import look
from tests.factories.readings import MeterReadingFactory

pytestmark = pytest.mark.django_db(transaction=True)


def together(*jobs):
    """Runs jobs at the same moment, each with a connection of its own; their answers or errors."""
    barrier = Barrier(len(jobs))

    def run(job):
        try:
            barrier.wait(10)
            return job()
        except BlockchainError as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


def test_i1_the_database_refuses_a_second_live_result(minting_chain):
    reading = MeterReadingFactory()
    first = request_batch([reading.id], source=BatchSource.CLI, strict=True)
    result = MintResult.objects.get()

    with pytest.raises(IntegrityError), transaction.atomic():
        MintResult.objects.create(
            batch=MintBatch.objects.create(
                source="api", genesis_hash="g", mint_address="m", total_readings=1
            ),
            reading=reading,
            user_id="u",
            wallet_address=result.wallet_address,
            kwh_amount=1,
            base_units=1,
        )

    assert MintResult.objects.get().batch == first


def test_i1_four_doors_at_once_make_one_batch(minting_chain):
    ids = [MeterReadingFactory().id for _ in range(5)]

    answers = together(
        *[lambda: request_batch(ids, source=BatchSource.API, strict=True) for _ in range(4)]
    )

    assert sum(isinstance(answer, MintBatch) for answer in answers) == 1
    refused = [answer for answer in answers if not isinstance(answer, MintBatch)]
    assert {error.code for error in refused} == {"invalid_batch_data"}
    assert MintResult.objects.count() == 5


def test_two_staff_minting_overlapping_selections_mint_each_reading_once(minting_chain, drain):
    readings = [MeterReadingFactory() for _ in range(9)]
    ids = [reading.id for reading in readings]

    together(
        lambda: request_batch(ids[:6], source=BatchSource.ADMIN, strict=False, allowed=MATCHING),
        lambda: request_batch(ids[3:], source=BatchSource.ADMIN, strict=False, allowed=MATCHING),
    )
    drain()

    assert MintResult.objects.filter(success=True).count() == 9
    assert minting_chain.supply() == 9 * 250_000_000


def test_one_selection_pressed_twice_at_once_is_one_batch(minting_chain):
    reading = MeterReadingFactory()
    user = get_user_model().objects.create_user("operator")
    selection = MintSelection.objects.create(created_by=user)
    MintSelectionItem.objects.create(selection=selection, reading=reading)

    first, second = together(
        *[
            lambda: request_batch(
                [reading.id], source=BatchSource.ADMIN, strict=False, selection=selection
            )
            for _ in range(2)
        ]
    )

    assert first == second
    assert MintBatch.objects.count() == 1


def test_two_workers_with_the_same_nudge_mint_once(minting_chain):
    request_batch([MeterReadingFactory().id for _ in range(8)], source=BatchSource.CLI, strict=True)

    together(look, look)

    assert MintTransaction.objects.count() == 1
    assert minting_chain.supply() == 8 * 250_000_000
