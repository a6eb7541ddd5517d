"""Packs of real batches: written from the database, verified against the real chain."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO, StringIO
from typing import Any
from unittest.mock import patch
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connections

from gridtoken.embedded.faults import FaultPlan
from minting.engine.audit_pack import (
    PackBatch,
    PackEnd,
    PackExcluded,
    PackLine,
    PackReading,
    PackTransaction,
    PackUnpaid,
)
from minting.engine.errors import PackRefused
from minting.engine.instructions import memo
from minting.engine.receipts import memo_text
from minting.models import BatchSource, MintBatch, MintResult, MintTransaction
from minting.service.audit import audit_pack
from minting.service.audit.audit_pack import write_pack
from minting.service.audit.reconcile import reconcile_after_recovery
from minting.service.chain.session import open_session
from minting.service.drive import recover as recovery
from minting.service.drive import submit, wave
from minting.service.requests.prepare import request_batch
from readings.models import MeterReading
from tests.factories.readings import MeterReadingFactory, household, outsider, solar_farm
from tests.verify.packs import changed, lines_of, pack_from, verify

pytestmark = pytest.mark.django_db(transaction=True)


def pack_of(batch: MintBatch) -> bytes:
    stream = BytesIO()
    write_pack(batch.id, stream.write)
    return stream.getvalue()


def queue(readings: Sequence[MeterReading], **options: Any) -> MintBatch:
    options = {"source": BatchSource.CLI, "strict": False, **options}
    return request_batch([reading.id for reading in readings], **options)


def mint(drain, readings: Sequence[MeterReading], **options: Any) -> MintBatch:
    """Mints what can be minted, and waits for finality."""
    batch = queue(readings, **options)
    drain()
    with open_session() as session:
        reconcile_after_recovery(session, patience=30)
    batch.refresh_from_db()
    return batch


def test_a_pack_tells_all_of_a_batch_and_no_name(minting_chain, drain, tmp_path):
    anong, farm, niran = household(), solar_farm(), outsider()
    minting_chain.freeze(farm.wallet.address)
    readings: list[MeterReading] = [
        anong.reading(),
        anong.reading(),
        MeterReadingFactory(),
        farm.reading(),
    ]
    left_out = niran.reading(status="held", code="no_wallet")
    operator = User.objects.create_user("operator")
    batch = mint(drain, [*readings, left_out], created_by=operator, source=BatchSource.ADMIN)
    assert batch.status == "partially_succeeded"

    pack = pack_of(batch)

    lines: list[Any] = lines_of(pack)
    assert [type(line) for line in lines] == [
        PackBatch,
        PackTransaction,
        *[PackReading] * 3,
        PackUnpaid,
        PackExcluded,
        PackEnd,
    ]
    head, row, *_, unpaid, excluded, end = lines
    assert (head.requested_by, head.approved_by, head.source) == ("operator", None, "admin")
    assert (row.raw, row.status) == (bytes(MintTransaction.objects.get().raw), "finalized")
    assert (unpaid.id, unpaid.code) == (readings[3].id, "account_frozen")
    assert (excluded.id, excluded.code) == (left_out.id, "no_wallet")
    assert (end.paid, end.base_units_paid) == (3, 750_000_000)
    for person in (anong, farm, niran):
        assert person.owner.name.encode() not in pack
        assert person.owner.user_id.encode() not in pack
    assert pack_of(batch) == pack, "nothing in it is about its writing"
    assert verify(pack, tmp_path)[0] == 0
    code, told = verify(pack, tmp_path, "--rpc", minting_chain.net.url)
    assert (code, told.splitlines()[-1]) == (0, "VERIFIED"), told
    assert "3 paid, 1 not, 1 left out; 1 transactions, 0.750000000 tokens" in told


@pytest.mark.parametrize("version", ["0", "1"])
def test_both_formats_of_transactions_verify(minting_chain, drain, tmp_path, version):
    minting_chain.settings.BLOCKCHAIN_TRANSACTION_VERSION = version
    minting_chain.settings.BLOCKCHAIN_PRIORITY_FEE = 1_000
    batch = mint(drain, [MeterReadingFactory() for _ in range(12)])
    assert batch.status == "succeeded"
    assert set(batch.transactions.values_list("version", flat=True)) == {version}
    assert batch.transactions.exclude(priority_fee_lamports=0).exists()

    code, told = verify(pack_of(batch), tmp_path, "--rpc", minting_chain.net.url)

    assert code == 0, told


def test_transactions_that_failed_or_died_are_in_the_pack(minting_chain, drain, tmp_path):
    """The first is never seen again, the second lands with an error, the third pays the rest."""
    farm = solar_farm()
    readings = [household().reading(), farm.reading()]
    send, sent = wave.send, []

    def frozen_before_sending(session, flights):
        sent.append(flights)
        if len(sent) == 2:
            minting_chain.freeze_now(farm.wallet.address)
        return send(session, flights)

    def healed(session, flights):
        dead = recovery.prove_dead(session, flights)
        minting_chain.net.faults = FaultPlan()
        return dead

    minting_chain.open_account(farm.wallet.address)
    minting_chain.net.faults = FaultPlan(seed=1, drop=1.0)
    with (
        patch.object(wave, "send", frozen_before_sending),
        patch.object(submit, "prove_dead", healed),
    ):
        batch = mint(drain, readings)

    pack = pack_of(batch)
    statuses = [line.status for line in lines_of(pack) if isinstance(line, PackTransaction)]
    assert statuses == ["expired", "failed", "finalized"]
    code, told = verify(pack, tmp_path, "--rpc", minting_chain.net.url)
    assert code == 0, told
    assert "1 paid, 1 not, 0 left out; 3 transactions" in told


def test_a_batch_that_waits_has_a_pack_too(minting_chain, drain, tmp_path):
    batch = queue([MeterReadingFactory(), MeterReadingFactory()])

    code, told = verify(pack_of(batch), tmp_path, "--rpc", minting_chain.net.url)

    assert code == 0, told
    assert "0 paid, 2 not, 0 left out; 0 transactions" in told


def test_a_batch_that_settles_meanwhile_is_packed_as_it_was(minting_chain, drain, tmp_path):
    batch = queue([MeterReadingFactory() for _ in range(3)])
    pieces: list[bytes] = []

    def write(line: bytes) -> None:
        if not pieces:
            outside(lambda: MintResult.objects.update(status="cancelled", error_code="cancelled"))
        pieces.append(line)

    write_pack(batch.id, write)

    assert MintResult.objects.filter(status="cancelled").count() == 3
    assert verify(b"".join(pieces), tmp_path)[0] == 0
    assert b'"status":"pending"' in b"".join(pieces)


def outside(work: Callable[[], object]) -> None:
    """Runs on another connection, and commits."""

    def run() -> None:
        work()
        connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(run).result()


# ------------------------------------------------------------------ the command


def test_the_command_writes_the_pack_and_nothing_else(minting_chain, drain, tmp_path):
    batch = mint(drain, [MeterReadingFactory()])
    out, err = StringIO(), StringIO()
    file = tmp_path / "out.jsonl"

    call_command("audit_pack", str(batch.id), stdout=out, stderr=err)
    call_command("audit_pack", str(batch.id), "--output", str(file), stderr=StringIO())

    assert out.getvalue().encode() == file.read_bytes() == pack_of(batch)
    end = lines_of(file.read_bytes())[-1]
    assert isinstance(end, PackEnd)
    assert f"1 readings paid, 0 not, 0 left out; SHA-256 {end.digest.hex()}" in err.getvalue()


def test_the_command_says_in_one_sentence_what_it_cannot_do(minting_chain, drain, tmp_path):
    batch = mint(drain, [MeterReadingFactory(), MeterReadingFactory()])
    with pytest.raises(CommandError, match="There is no batch"):
        call_command("audit_pack", str(uuid4()), stderr=StringIO())
    with pytest.raises(CommandError, match="No such file or directory"):
        call_command("audit_pack", str(batch.id), "--output", str(tmp_path / "none" / "x"))

    MintTransaction.objects.update(reading_ids=[MeterReadingFactory().id])
    file = tmp_path / "out.jsonl"
    with pytest.raises(CommandError, match="reconcile before a pack is written"):
        call_command("audit_pack", str(batch.id), "--output", str(file))
    assert [each.name for each in tmp_path.iterdir() if each.suffix != ".json"] == ["journal"]


def test_bytes_that_are_not_ours_make_no_pack(minting_chain, drain):
    batch = mint(drain, [MeterReadingFactory()])
    MintTransaction.objects.update(raw=b"\0" * 100)
    with pytest.raises(PackRefused, match="are not ours"):
        pack_of(batch)


# ------------------------------------------------------------------ forgers who know the format


def _next(slot: int | None) -> int:
    assert slot is not None
    return slot + 1


def _rent(lines: Sequence[PackLine]) -> list[PackLine]:
    lines = changed(lines, PackTransaction, lambda row: {"rent_lamports": row.rent_lamports - 1})
    return changed(lines, PackBatch, lambda row: {"rent_paid_lamports": row.rent_paid_lamports - 1})


def _never_landed(lines: Sequence[PackLine]) -> list[PackLine]:
    """Paid, and told as unpaid: the owners might be paid again."""
    head, row, *readings = lines[:3]
    assert isinstance(head, PackBatch)
    assert isinstance(row, PackTransaction)
    dead = replace(row, status="expired", slot=None)
    return [_unpaid_batch(head), dead, *readings, *_unpaid(readings)]


def _kept_quiet(lines: Sequence[PackLine]) -> list[PackLine]:
    """The same, without the transaction."""
    head, _, *readings = lines[:3]
    assert isinstance(head, PackBatch)
    return [_unpaid_batch(head), *_unpaid(readings)]


def _unpaid_batch(head: PackBatch) -> PackBatch:
    return replace(
        head,
        status="failed",
        successful_mints=0,
        failed_mints=head.total_readings,
        fee_paid_lamports=0,
        rent_paid_lamports=0,
    )


def _unpaid(readings: Sequence[PackLine]) -> list[PackLine]:
    return [
        PackUnpaid(
            each.id,
            each.wallet,
            each.base_units,
            each.kwh,
            each.meter,
            each.period_start,
            each.period_end,
            "failed",
            "node_unreachable",
            "No node answered",
        )
        for each in readings
        if isinstance(each, PackReading)
    ]


@pytest.mark.parametrize(
    ("forge", "due"),
    [
        (
            lambda lines: changed(lines, PackTransaction, lambda row: {"slot": _next(row.slot)}),
            "it landed in slot",
        ),
        (_rent, "lamports of rent, the pack says"),
        (_never_landed, "it is expired in the pack, and landed in slot"),
        (_kept_quiet, "is on the chain, of this batch, and not listed"),
        (
            lambda lines: changed(lines, PackBatch, lambda row: {"genesis_hash": row.mint}),
            "the pack is of the cluster",
        ),
    ],
    ids=["slot", "rent", "expired", "dropped", "cluster"],
)
def test_what_only_the_chain_knows_is_found_there(minting_chain, drain, tmp_path, forge, due):
    batch = mint(drain, [MeterReadingFactory()])
    forged = pack_from(forge(lines_of(pack_of(batch))))
    assert verify(forged, tmp_path)[0] == 0, "it is consistent in itself"

    code, told = verify(forged, tmp_path, "--rpc", minting_chain.net.url)

    assert code == 1
    assert due in told


def test_one_of_several_transactions_that_is_dropped_is_found(minting_chain, drain, tmp_path):
    batch = mint(drain, [MeterReadingFactory() for _ in range(14)])
    lines = lines_of(pack_of(batch))
    starts = [at for at, line in enumerate(lines) if isinstance(line, PackTransaction)]
    assert len(starts) == 2
    row: Any = lines[starts[0]]
    dropped = lines[starts[0] + 1 : starts[1]]
    rest = [lines[0], *lines[starts[1] : -1], *_unpaid(dropped)]
    forged = changed(
        rest,
        PackBatch,
        lambda head: {
            "successful_mints": head.successful_mints - row.readings,
            "failed_mints": row.readings,
            "fee_paid_lamports": head.fee_paid_lamports - row.network_fee_lamports,
            "rent_paid_lamports": head.rent_paid_lamports - row.rent_lamports,
        },
    )
    assert verify(pack_from(forged), tmp_path)[0] == 0

    code, told = verify(pack_from(forged), tmp_path, "--rpc", minting_chain.net.url)

    assert code == 1
    assert f"{row.signature} is on the chain, of this batch, and not listed" in told


def test_a_memo_that_mints_nothing_is_nobodys_transaction(minting_chain, drain, tmp_path):
    """Anyone can write a memo that names a batch."""
    batch = mint(drain, [MeterReadingFactory()])
    minting_chain.send([memo(memo_text(batch.id, bytes(32)))])
    minting_chain.net.wait_slots(40)

    code, told = verify(pack_of(batch), tmp_path, "--rpc", minting_chain.net.url)

    assert code == 0, told


def test_a_node_that_does_not_answer_verifies_nothing(minting_chain, drain, tmp_path):
    pack = pack_of(mint(drain, [MeterReadingFactory()]))
    minting_chain.net.faults = FaultPlan(seed=1, error=1.0, methods=("getTransaction",))
    try:
        code, told = verify(pack, tmp_path, "--rpc", minting_chain.net.url)
    finally:
        minting_chain.net.faults = FaultPlan()
    assert code == 2
    assert told.startswith("UNVERIFIED: ")

    code, told = verify(pack, tmp_path, "--rpc", "http://127.0.0.1:1")
    assert (code, told.count("\n")) == (2, 1)
    assert told.startswith("UNVERIFIED: the node cannot be asked")


# ------------------------------------------------------------------ size


def waiting_batch(readings: int) -> MintBatch:
    """Many quarter hours of one meter, all pending."""
    first = MeterReadingFactory()
    length = first.period_end - first.period_start
    more = MeterReading.objects.bulk_create(
        MeterReading(
            meter=first.meter,
            owner=first.owner,
            kwh_amount=first.kwh_amount,
            period_start=first.period_start - (number + 1) * length,
            period_end=first.period_end - (number + 1) * length,
            period_kind=first.period_kind,
            status=first.status,
            verification=first.verification,
            source=first.source,
        )
        for number in range(readings - 1)
    )
    return queue([first, *more])


def test_a_large_batch_is_written_in_the_memory_of_a_small_one(minting_chain, monkeypatch):
    monkeypatch.setattr(audit_pack, "CHUNK", 50)
    peaks = []
    for readings in (100, 2_000):
        batch, sizes = waiting_batch(readings), Counter[str]()

        def weigh(line: bytes, sizes: Counter[str] = sizes) -> None:
            sizes.update(bytes=len(line), lines=1)

        tracemalloc.start()
        try:
            write_pack(batch.id, weigh)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        assert sizes["lines"] == readings + 2
    assert sizes["bytes"] > 2 * peaks[1]
    assert peaks[1] < 2 * peaks[0]
