"""A program mints: the whole way from queue to chain and back, on real programs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from io import BytesIO

import pytest
from solders.pubkey import Pubkey

from minting.engine.proof import Kept, Proof, Verdict, prove
from minting.engine.receipt_file import write_receipt
from minting.engine.types import CalledInstruction, Commitment
from minting.models import MintBatch, MintResult, MintTransaction
from minting.service.audit.audit_pack import write_pack
from minting.service.audit.proof import journalled
from minting.service.audit.receipts import receipt_of
from minting.service.audit.reconcile import reconcile_after_recovery
from minting.service.chain.session import open_session
from minting.service.history.auditing import landed_contents
from minting.service.requests.prepare import estimate_readings
from tests.factories.readings import MeterReadingFactory, WalletFactory, keypair
from tests.minting.admin.test_proof import assert_proven, red
from tests.minting.admin.test_receipts import checked
from tests.minting.admin.test_receipts import program as verify_receipt
from tests.minting.service.test_minting import mint
from tests.verify.packs import verify

pytestmark = pytest.mark.django_db(transaction=True)

UNITS = 250_000_000
MINT_TO, MINT_TO_CHECKED = b"\x07", b"\x0e"


def paid_together(batch: MintBatch) -> list[int]:
    """Readings of each transaction, the smallest first."""
    return sorted(len(row.reading_ids) for row in batch.transactions.all())


def owners(prefix: str, count: int) -> list:
    names = (f"{prefix} {number}" for number in range(count))
    return [WalletFactory(address=str(keypair(name).pubkey())).owner for name in names]


def proven(batch: MintBatch) -> None:
    """*Verify on chain* reads what the program called, and finds what it did otherwise."""
    assert_proven(batch)
    told = journalled(batch.transactions.all()[0].id)
    with open_session() as session:
        landed = session.run(session.cluster.transaction(told.signature))
    assert landed is not None

    def judged(called: tuple[CalledInstruction, ...] | None) -> Proof:
        other = replace(landed, called=called)
        contents = landed_contents(other, Pubkey.from_string(told.mint))
        known = called is not None
        return prove(told, Kept(other, contents, Commitment.FINALIZED, told.genesis_hash, known))

    unknown = judged(None)
    assert (unknown.verdict, red(unknown)) == (Verdict.OPEN, set())
    assert {"Base units minted", "Minted by"} <= red(judged(()))
    # One base unit more, to the first of them, than the signed bytes ask for.
    more = [
        replace(each, data=each.data[:1] + bytes([each.data[1] + 1]) + each.data[2:])
        for each in landed.called
        if each.data[:1] in (MINT_TO, MINT_TO_CHECKED)
    ]
    assert judged(landed.called).verdict is Verdict.AGREES
    assert "Base units minted" in red(judged((*more[:1], *landed.called[1:])))


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
    proven(batch)
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
