"""Receipts: written for what is final, checked against the chain whoever wrote them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from solders.pubkey import Pubkey

from minting.engine.audit import Contents, read_transaction
from minting.engine.errors import ReceiptRefused
from minting.engine.receipt_file import Check, Receipt, check_receipt
from minting.engine.receipts import inclusion_path, leaf
from minting.engine.states import ResultStatus
from minting.engine.types import LandedTransaction
from minting.models import MintInfo, MintResult, MintTransaction
from minting.service.chain.session import Session
from minting.service.history.auditing import landed_contents


@dataclass(frozen=True, slots=True)
class Checked:
    """A receipt, and what the chain says to it."""

    receipt: Receipt
    checks: Sequence[Check]
    slot: int

    @property
    def holds(self) -> bool:
        """Whether the chain agrees in every point."""
        return all(each.agrees for each in self.checks)


def receipt_of(result_id: UUID) -> Receipt:
    """The receipt of one reading that is paid for good.

    Raises:
        MintResult.DoesNotExist: There is no such result.
        ReceiptRefused: It is not final, or the journal does not agree with itself.
    """
    result = MintResult.objects.select_related("transaction").get(id=result_id)
    row = result.transaction
    if result.status != ResultStatus.FINALIZED or row is None:
        raise ReceiptRefused("what is not final has none yet")
    mint = MintInfo.objects.get(genesis_hash=row.genesis_hash, address=row.mint_address)
    paid = sorted(
        MintResult.objects.filter(transaction=row).values_list(
            "reading_id", "wallet_address", "base_units"
        ),
        key=lambda each: each[0].bytes,
    )
    leaves = [leaf(id_, Pubkey.from_string(to), int(units)) for id_, to, units in paid]
    index = [id_ for id_, _, _ in paid].index(result.reading_id)
    receipt = Receipt(
        reading_id=result.reading_id,
        kwh_amount=result.kwh_amount,
        wallet=result.wallet_address,
        base_units=int(result.base_units),
        batch_id=_batch_in_memo(row),
        genesis_hash=row.genesis_hash,
        mint=row.mint_address,
        token_program=mint.token_program,
        signature=row.signature,
        index=index,
        tree_size=len(leaves),
        path=tuple(inclusion_path(leaves, index)),
    )
    if receipt.root != bytes(row.memo_root):
        raise ReceiptRefused("the journal's readings are not those of its memo: reconcile first")
    return receipt


def check(session: Session, receipt: Receipt) -> Checked:
    """Asks the chain about a receipt, at ``finalized``.

    Raises:
        ReceiptRefused: The chain does not know its transaction, or not as final.
        SolanaError: No node answered.
    """
    genesis_hash, landed = session.run(_ask(session, receipt.signature))
    if landed is None:
        raise ReceiptRefused("no finalized transaction has this signature on this cluster")
    contents: Contents = landed_contents(landed, Pubkey.from_string(receipt.mint))
    checks = check_receipt(receipt, contents, genesis_hash=genesis_hash, err=landed.err)
    return Checked(receipt, checks, landed.slot)


async def _ask(session: Session, signature: str) -> tuple[str, LandedTransaction | None]:
    genesis_hash = await session.cluster.genesis_hash()
    return genesis_hash, await session.cluster.transaction(signature)


def _batch_in_memo(row: MintTransaction) -> UUID:
    """Its batch's id, or, where it was adopted, that of the batch which is lost."""
    contents = read_transaction(bytes(row.raw), Pubkey.from_string(row.mint_address), called=None)
    return contents.memo[0] if contents.memo else row.batch_id
