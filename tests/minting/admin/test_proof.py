"""*Verify on chain*: what is true is green, and every kind of tampering is red."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.urls import reverse
from solders.pubkey import Pubkey

from minting.engine.proof import Journalled, Kept, Proof, Verdict, prove
from minting.engine.states import TransactionStatus
from minting.engine.types import Commitment, LandedTransaction
from minting.models import BatchSource, MintBatch, MintResult, MintTransaction
from minting.service.audit.proof import journalled, verify_on_chain
from minting.service.chain.session import open_session
from minting.service.drive.recover import recover
from minting.service.history.auditing import landed_contents
from minting.service.requests.prepare import request_batch
from readings.models import MeterReading
from tests.factories.readings import address
from tests.factories.village import harvest, village
from tests.minting.admin.journal import minted_batch

pytestmark = pytest.mark.django_db(transaction=True)


def proof_of(row: MintTransaction) -> Proof:
    with open_session() as session:
        return verify_on_chain(session, row.id)


def red(proof: Proof) -> set[str]:
    return {point.name.split(",")[0] for point in proof.points if point.agrees is False}


def assert_proven(batch: MintBatch) -> None:
    """Each of its transactions is what the chain keeps, in every point and finally."""
    for row in batch.transactions.all():
        proof = proof_of(row)
        assert (proof.verdict, red(proof)) == (Verdict.AGREES, set()), proof
        assert all(point.agrees for point in proof.points)


def flipped(raw: bytes, at: int) -> bytes:
    return raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]


def results(**columns: object) -> Callable[[MintTransaction], None]:
    """One result of the transaction is made to say something else."""

    def tamper(row: MintTransaction) -> None:
        one = row.results.order_by("id").first()
        MintResult.objects.filter(id=one.id).update(**columns)

    return tamper


def journal(**columns: object) -> Callable[[MintTransaction], None]:
    """The transaction's row is."""

    def tamper(row: MintTransaction) -> None:
        MintTransaction.objects.filter(id=row.id).update(**columns)

    return tamper


def bytes_changed(at: int) -> Callable[[MintTransaction], None]:
    return lambda row: journal(raw=flipped(bytes(row.raw), at))(row)


def moved_to_another_batch(row: MintTransaction) -> None:
    other = MintBatch.objects.create(source=BatchSource.CLI.value, total_readings=0)
    journal(batch=other)(row)


def another_energy(row: MintTransaction) -> None:
    MeterReading.objects.filter(id=row.reading_ids[0]).update(kwh_amount=9)


ELSEWHERE = address("somebody else")
TAMPERINGS: dict[str, tuple[Callable[[MintTransaction], None], str]] = {
    "a result's amount": (results(base_units=1), "Root of the readings listed"),
    "a result's wallet": (results(wallet_address=ELSEWHERE), "Root of the readings listed"),
    "a wallet that is none": (results(wallet_address="nobody"), "Root of the readings listed"),
    "a result's energy": (results(kwh_amount=Decimal(9)), "Energy of results and readings"),
    "a result's signature": (results(tx_signature="1" * 64), "Results name signature and slot"),
    "a result's slot": (results(slot=1), "Results name signature and slot"),
    "the stored signature": (bytes_changed(-1), "Signature of the stored bytes"),
    "the stored message": (bytes_changed(200), "Bytes"),
    "no bytes at all": (journal(raw=b""), "Stored bytes"),
    "the slot": (journal(slot=1), "Slot"),
    "the fee": (journal(network_fee_lamports=1), "Fee"),
    "the rent": (journal(rent_lamports=1), "Rent"),
    "the sum": (journal(base_units=1), "Base units minted"),
    "the root": (journal(memo_root=bytes(32)), "Root that the journal keeps"),
    "the mint": (journal(mint_address=ELSEWHERE), "Mint"),
    "the fee payer": (journal(fee_payer=ELSEWHERE), "Fee payer"),
    "the cluster": (journal(genesis_hash=ELSEWHERE), "Cluster (genesis hash)"),
    "the readings": (journal(reading_ids=[]), "Readings it pays"),
    "the blockhash": (journal(blockhash=ELSEWHERE), "Blockhash"),
    "the format": (journal(version="0"), "Format"),
    "the batch": (moved_to_another_batch, "Batch in the memo"),
    "a reading's energy": (another_energy, "Energy of results and readings"),
    "a result that is taken away": (
        results(
            status="cancelled", transaction=None, tx_signature="", slot=None, error_code="cancelled"
        ),
        "Readings it pays",
    ),
    "an error that never was": (
        journal(status="failed", error={"InstructionError": [0, "Custom"]}),
        "Error it landed with",
    ),
    "a death that never was": (
        journal(status="expired", evidence={"told": "nothing"}),
        "Whether it landed",
    ),
}


LIES: dict[str, tuple[Callable[[LandedTransaction], dict[str, Any]], str]] = {
    "bytes": (lambda landed: {"raw": flipped(landed.raw, 9)}, "Bytes"),
    "slot": (lambda landed: {"slot": landed.slot + 1}, "Slot"),
    "fee": (lambda landed: {"fee": landed.fee + 1}, "Fee"),
    "rent": (
        lambda landed: {"post_balances": (landed.post_balances[0] - 1, *landed.post_balances[1:])},
        "Rent",
    ),
    "error": (lambda _: {"err": "AccountInUse"}, "Error it landed with"),
}
"""What a node says otherwise than the journal, and the point that shows it."""


def test_it_is_green_where_true_and_red_for_every_tampering(minting_chain, drain, staff):
    owners = village(2)
    readings = [*harvest(owners, each=2), *harvest(village(1))]
    request_batch([each.id for each in readings], source=BatchSource.CLI, strict=True)
    drain()
    row = MintTransaction.objects.get()

    early = proof_of(row)
    assert red(early) == set()
    assert early.verdict in {Verdict.PROVISIONAL, Verdict.AGREES}
    minting_chain.net.wait_slots(40)
    with open_session() as session:
        recover(session)
    row.refresh_from_db()
    late = proof_of(row)
    assert (late.verdict, red(late)) == (Verdict.AGREES, set())
    assert all(point.agrees for point in late.points)
    assert sum(point.name.startswith("To ") for point in late.points) == 3
    assert any(point.name == "Rent" and point.chain != "0 lamports" for point in late.points)

    for name, (tamper, told) in TAMPERINGS.items():
        with transaction.atomic():
            tamper(row)
            proof = proof_of(row)
            transaction.set_rollback(True)
        assert proof.verdict is Verdict.DIFFERS, name
        assert told in red(proof), (name, red(proof))

    # A signature that no node knows; the bytes betray that it is another's.
    with transaction.atomic():
        journal(signature="1" * 64)(row)
        assert {"Signature of the stored bytes"} <= red(proof_of(row))
        transaction.set_rollback(True)

    absent(journalled(row.id))
    ended_otherwise(journalled(row.id))
    pages(row, staff)


def absent(told: Journalled) -> None:
    """What no node knows is judged by what the journal says of it."""

    def judged(status: TransactionStatus, **columns: Any) -> Proof:
        return prove(replace(told, status=status, **columns), None, oldest_block=7)

    assert judged(TransactionStatus.FINALIZED).verdict is Verdict.DIFFERS
    assert judged(TransactionStatus.FAILED).verdict is Verdict.DIFFERS
    assert judged(TransactionStatus.EXPIRED).verdict is Verdict.AGREES
    sent = judged(TransactionStatus.SENT)
    assert sent.verdict is Verdict.OPEN
    assert "proves nothing" in sent.sentence
    unnamed = tuple(replace(each, signature="", slot=None) for each in told.paid)
    assert red(judged(TransactionStatus.CONFIRMED, paid=unnamed)) == set(), "not final yet"
    assert red(judged(TransactionStatus.FINALIZED, paid=unnamed)) != set()
    paid = tuple(replace(each, slot=6) for each in told.paid)
    old = judged(TransactionStatus.FINALIZED, slot=6, paid=paid)
    assert old.verdict is Verdict.OPEN
    assert "nothing older than block 7" in old.sentence


def ended_otherwise(told: Journalled) -> None:
    """Errors on chain, landings of what was called dead, and nodes that keep less."""
    with open_session() as session:
        landed = session.run(session.cluster.transaction(told.signature))
    assert landed is not None
    contents = landed_contents(landed, Pubkey.from_string(told.mint))
    kept = Kept(landed, contents, Commitment.FINALIZED, told.genesis_hash)
    err = {"InstructionError": [0, {"Custom": 1}]}
    spent = (landed.pre_balances[0] - landed.fee, *landed.post_balances[1:])
    errored = replace(kept, landed=replace(landed, err=err, post_balances=spent))

    failed = replace(told, status=TransactionStatus.FAILED, error=err)
    assert prove(failed, errored).verdict is Verdict.AGREES
    assert {"Error it landed with", "Minted"} <= red(prove(told, errored))
    dead = replace(told, status=TransactionStatus.EXPIRED)
    assert "Whether it landed" in red(prove(dead, kept))
    assert prove(told, replace(kept, mints_told=False)).verdict is Verdict.OPEN
    for name, (change, point) in LIES.items():
        proof = prove(told, replace(kept, landed=replace(landed, **change(landed))))
        assert (proof.verdict, point in red(proof)) == (Verdict.DIFFERS, True), name
    flipped_memo = flipped(landed.raw, landed.raw.index(b"gt1.") + 30)
    other = landed_contents(replace(landed, raw=flipped_memo), Pubkey.from_string(told.mint))
    lied = red(prove(told, replace(kept, contents=other)))
    assert {"Signature on chain", "Root of the readings listed"} <= lied
    early = prove(told, replace(kept, commitment=Commitment.CONFIRMED))
    assert (early.verdict, "provisionally" in early.sentence) == (Verdict.PROVISIONAL, True)


def pages(row: MintTransaction, staff) -> None:
    """Whoever sees transactions may ask; links lead from a reading to its payer and back."""
    page = reverse("admin:minting_minttransaction_verify", args=[row.pk])
    auditor = staff(
        "auditor",
        "minting.view_minttransaction",
        "minting.view_mintresult",
        "readings.view_meterreading",
    )
    own = reverse("admin:minting_minttransaction_change", args=[row.pk])
    shown = auditor.get(own).content.decode()
    assert page in shown
    assert "Journal and chain agree." in auditor.get(page).content.decode()
    assert staff("stranger", "minting.view_mintresult").get(page).status_code == 403
    results(base_units=1)(row)
    assert "Journal and chain differ." in auditor.get(page).content.decode()

    every = reverse("admin:minting_mintresult_changelist") + f"?q={row.signature}"
    assert every in shown
    listed = auditor.get(every).content.decode()
    for result in row.results.all():
        reading = reverse("admin:readings_meterreading_change", args=[result.reading_id])
        assert reading in shown, "from the transaction to each reading it pays"
        assert own in auditor.get(reading).content.decode(), "and back"
        assert reverse("admin:minting_mintresult_change", args=[result.pk]) in listed


@pytest.mark.parametrize("model", ["minttransaction", "mintresult"])
def test_nobody_adds_changes_or_deletes_what_is_journalled(model, admin_client):
    batch = minted_batch()
    row = batch.transactions.get() if model == "minttransaction" else batch.results.get()
    before = type(row).objects.filter(pk=row.pk).values().get()
    name = f"admin:minting_{model}"
    change = reverse(f"{name}_change", args=[row.pk])
    assert admin_client.post(change, {"status": "failed", "slot": 9}).status_code == 403
    assert admin_client.get(reverse(f"{name}_add")).status_code == 403
    assert admin_client.post(reverse(f"{name}_add"), {"slot": 9}).status_code == 403
    assert admin_client.post(
        f"{change[: -len('change/')]}delete/", {"post": "yes"}
    ).status_code in (
        403,
        404,
    )
    admin_client.post(
        reverse(f"{name}_changelist"),
        {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"},
    )
    assert type(row).objects.filter(pk=row.pk).values().get() == before
