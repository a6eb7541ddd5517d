"""The auditor finds what is wrong: one that never finds anything proves nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection, transaction
from django.utils import timezone
from spl.token.constants import TOKEN_PROGRAM_ID
from spl.token.instructions import mint_to
from spl.token.models import MintToParams

from chaos.audit import audit
from minting import journal
from minting.models import (
    MintBatch,
    MintInfo,
    MintResult,
    MintTransaction,
    ReconcileFinding,
    ReconcileRun,
)
from readings.models import MeterReading
from tests.crash.scene import CAP, Scene

pytestmark = pytest.mark.django_db(transaction=True)


def mint_behind_our_back(scene: Scene) -> None:
    wallet = MintResult.objects.first().wallet_address
    scene.chain.send(
        [
            mint_to(
                MintToParams(
                    program_id=TOKEN_PROGRAM_ID,
                    mint=scene.chain.mint,
                    dest=scene.chain.token_account(wallet),
                    mint_authority=scene.chain.authority.pubkey(),
                    amount=1,
                )
            )
        ]
    )
    scene.chain.net.wait_slots(40)


def forget_a_transaction(_scene: Scene) -> None:
    """As a database restored from before would."""
    row = MintTransaction.objects.first()
    MintTransaction.objects.filter(id=row.id).update(signature="1" * 64)


def declare_dead(_scene: Scene) -> None:
    MintTransaction.objects.update(status="expired", evidence={"verdict": "uncertain"})


def count_twice(_scene: Scene) -> None:
    MintBatch.objects.update(fee_paid_lamports=1)


def pay_another_sum(_scene: Scene) -> None:
    MintResult.objects.filter(pk=MintResult.objects.first().pk).update(base_units=7)


def blame(_scene: Scene) -> None:
    pk = MintResult.objects.first().pk
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE minting_mintresult SET status = 'failed', permanent = true, error = 'x',"
            " error_code = 'account_frozen', transaction_id = NULL WHERE id = %s",
            [pk],
        )


def show_as_free(_scene: Scene) -> None:
    MeterReading.objects.update(status="pending")


def bid_above_the_cap(_scene: Scene) -> None:
    MintTransaction.objects.update(priority_fee_lamports=CAP + 1)


def find_what_is_no_difference(_scene: Scene) -> None:
    mint = MintInfo.objects.get()
    run = ReconcileRun.objects.create(mint=mint)
    ReconcileFinding.objects.create(mint=mint, run=run, kind="missing", seen_at=timezone.now())


def leave_the_gate_closed(_scene: Scene) -> None:
    with transaction.atomic():
        journal.close_gate("forgotten", journal.Identity())


@pytest.mark.parametrize(
    ("tamper", "invariants"),
    [
        (lambda _scene: None, set()),
        (mint_behind_our_back, {"I7"}),
        (forget_a_transaction, {"I2", "I6", "I7"}),
        (declare_dead, {"I4", "I5", "I7"}),
        (count_twice, {"I5"}),
        (pay_another_sum, {"I6", "I7"}),
        (blame, {"I5", "I7", "I8", "I9"}),
        (show_as_free, {"I9"}),
        (bid_above_the_cap, {"I5", "I6"}),
        (find_what_is_no_difference, {"I7"}),
        (leave_the_gate_closed, {"I7"}),
    ],
)
def test_what_is_wrong_is_found(
    scene: Scene, tamper: Callable[[Scene], None], invariants: set[str]
):
    scene.queue()
    scene.start_again()

    tamper(scene)

    assert {finding.partition(":")[0] for finding in audit(scene.books)} == invariants
