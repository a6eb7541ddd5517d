"""Packs of real batches: written from the database, verified against the real chain."""

from __future__ import annotations

import json
import subprocess
import sys
from io import BytesIO, StringIO
from pathlib import Path
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from minting.engine.audit_pack import (
    PackBatch,
    PackEnd,
    PackExcluded,
    PackReading,
    PackTransaction,
    PackUnpaid,
    read_pack,
)
from minting.engine.errors import PackRefused
from minting.models import BatchSource, MintBatch, MintResult, MintTransaction
from minting.service.audit_pack import write_pack
from minting.service.prepare import request_batch
from minting.service.reconcile import reconcile_after_recovery
from minting.service.session import open_session
from readings.models import MeterReading
from tests.factories.readings import MeterReadingFactory, household, outsider, solar_farm

pytestmark = pytest.mark.django_db(transaction=True)

VERIFY = Path(__file__).resolve().parents[3] / "docs" / "verify" / "verify_pack.py"


def pack_of(batch: MintBatch) -> bytes:
    stream = BytesIO()
    write_pack(batch.id, stream.write)
    return stream.getvalue()


def verify(pack: bytes, tmp_path: Path, *options: str) -> tuple[int, str]:
    """Exit code and output of the standalone program, in an interpreter without our packages."""
    file = tmp_path / "pack.jsonl"
    file.write_bytes(pack)
    ran = subprocess.run(
        [sys.executable, "-E", "-s", "-S", str(VERIFY), str(file), *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.stderr == ""
    return ran.returncode, ran.stdout


def mint(drain, readings: list[MeterReading], **options) -> MintBatch:
    """Mints what can be minted, and waits for finality."""
    batch = request_batch(
        [reading.id for reading in readings], **{"source": BatchSource.CLI, "strict": False, **options}
    )
    drain()
    with open_session() as session:
        reconcile_after_recovery(session, patience=30)
    batch.refresh_from_db()
    return batch


def test_a_pack_tells_all_of_a_batch_and_no_name(minting_chain, drain, tmp_path):
    anong, farm, niran = household(), solar_farm(), outsider()
    minting_chain.freeze(farm.wallet.address)
    readings = [anong.reading(), anong.reading(), MeterReadingFactory(), farm.reading()]
    left_out = niran.reading(status="held", code="no_wallet")
    operator = User.objects.create_user("operator")
    batch = mint(drain, [*readings, left_out], created_by=operator, source=BatchSource.ADMIN)
    assert batch.status == "partially_succeeded"

    pack = pack_of(batch)

    lines = list(read_pack(BytesIO(pack)))
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
