"""A program mints: the whole way from queue to chain and back, on real programs."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import pytest

from minting.engine.receipt_file import write_receipt
from minting.models import MintBatch, MintResult, MintTransaction
from minting.service.audit.audit_pack import write_pack
from minting.service.audit.receipts import receipt_of
from minting.service.audit.reconcile import reconcile_after_recovery
from minting.service.chain.session import open_session
from minting.service.requests.prepare import estimate_readings
from tests.factories.readings import MeterReadingFactory, WalletFactory, keypair
from tests.minting.admin.test_receipts import checked
from tests.minting.admin.test_receipts import program as verify_receipt
from tests.minting.service.test_minting import mint
from tests.verify.packs import verify

pytestmark = pytest.mark.django_db(transaction=True)

UNITS = 250_000_000


def paid_together(batch: MintBatch) -> list[int]:
    """Readings of each transaction, the smallest first."""
    return sorted(len(row.reading_ids) for row in batch.transactions.all())


def owners(prefix: str, count: int) -> list:
    names = (f"{prefix} {number}" for number in range(count))
    return [WalletFactory(address=str(keypair(name).pubkey())).owner for name in names]


@dataclass(frozen=True)
class Case:
    """A program, its token program and IDL, and what its transactions hold."""

    name: str
    token_2022: bool
    old: bool
    version: str
    signatures: int
    first: list[int]
    second: list[int]


# Each once with either token program, form of IDL and version; all of them in
# tests/minting/engine/test_anchor.py.
CASES = [
    Case("seed_mint", False, True, "1", 1, [8, 9, 9, 9], [8, 29]),
    Case("platform_mint", True, False, "0", 2, [5, 6, 6, 6, 6, 6], []),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_a_program_mints_is_estimated_paid_compared_and_proven(
    use_program, drain, settings, tmp_path, case
):
    settings.BLOCKCHAIN_TRANSACTION_VERSION = case.version
    chain = use_program(case.name, token_2022=case.token_2022, old=case.old)
    known, strangers = owners("known", 35), owners("stranger", 2)
    first = mint([MeterReadingFactory(owner=owner) for owner in known], drain=drain)
    readings = [MeterReadingFactory(owner=owner) for owner in [*known, *strangers]]
    estimate = estimate_readings([reading.id for reading in readings]).estimate
    before = chain.lamports()

    batch = mint(readings, drain=drain)

    assert (first.status, batch.status) == ("succeeded", "succeeded")
    assert before - chain.lamports() == estimate.cost.total
    assert paid_together(first) == case.first
    together = paid_together(batch)
    assert sum(together) == 37
    assert together == (case.second or together)
    assert estimate.cost.network_fee == 5_000 * case.signatures * len(together)
    assert batch.fee_paid_lamports == batch.fee_estimate_lamports == estimate.cost.fee
    assert chain.supply() == 72 * UNITS
    assert all(chain.balance_of(each.wallet_address) for each in MintResult.objects.all()[:3])

    with open_session() as session:
        compared = reconcile_after_recovery(session, patience=30)
    assert compared.clean
    assert compared.run.audited == MintTransaction.objects.count()
    receipt = write_receipt(receipt_of(MintResult.objects.filter(batch=batch)[0].id))
    assert checked(receipt).holds
    assert verify_receipt(receipt, tmp_path, chain.net.url)[0] == 0
    pack = BytesIO()
    write_pack(batch.id, pack.write)
    assert verify(pack.getvalue(), tmp_path)[0] == 2
    code, told = verify(pack.getvalue(), tmp_path, "--rpc", chain.net.url)
    assert code == 0, told
    code, told = verify(pack.getvalue(), tmp_path, "--program", settings.MINT_PROGRAM_ID)
    assert (code, told.splitlines()[-1]) == (0, "VERIFIED"), told
