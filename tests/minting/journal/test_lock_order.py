"""Rows of a kind are locked in the order of their ids: nobody waits for another in a circle."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction
from django.db.models import F, Model

from minting import journal
from minting.models import MintSlice, MintTransaction
from tests.minting.admin.journal import doubtful_batch, open_batch
from tests.scenarios.clusters import until

pytestmark = pytest.mark.django_db(transaction=True)


def claims() -> list[journal.Claim]:
    for _ in range(2):
        open_batch()
    with transaction.atomic():
        return journal.claim_slices(worker="host:1", limit=2)


def renewing() -> tuple[type[Model], Callable[[], object]]:
    held = claims()
    return MintSlice, lambda: journal.renew_claims(held)


def handing_back() -> tuple[type[Model], Callable[[], object]]:
    held = claims()
    return MintSlice, lambda: journal.hand_back(held)


def noting_as_sent() -> tuple[type[Model], Callable[[], object]]:
    for _ in range(2):
        doubtful_batch()
    MintTransaction.objects.update(status="signed")
    ids = list(MintTransaction.objects.values_list("id", flat=True))
    return MintTransaction, lambda: journal.record_sent(ids)


def waits() -> bool:
    """Whether another session waits for a lock of ours."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


@pytest.mark.parametrize("scene", [renewing, handing_back, noting_as_sent])
def test_whoever_locks_several_waits_for_the_first_before_it_holds_the_next(scene):
    model, step = scene()
    first, second = model.objects.order_by("id")
    # Written anew, the first lies behind the second in the table.
    field = "starts" if model is MintSlice else "blockhash_slot"
    model.objects.filter(pk=first.pk).update(**{field: F(field) + 1})

    def other():
        try:
            with transaction.atomic():
                step()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            model.objects.select_for_update().get(pk=first.pk)
            waiting = pool.submit(other)
            until(waits, lambda: "nobody waits", seconds=10)
            model.objects.select_for_update(nowait=True).get(pk=second.pk)
        waiting.result(10)
