"""*Verify on chain*: one transaction of the journal, fetched and laid beside it."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Q
from solders.pubkey import Pubkey

from minting.engine.audit import read_transaction
from minting.engine.errors import SolanaError
from minting.engine.proof import Journalled, Kept, PaidResult, Proof, prove
from minting.engine.states import TransactionStatus
from minting.engine.types import Commitment, LandedTransaction
from minting.models import MintInfo, MintResult, MintTransaction
from minting.service.chain.session import Session
from minting.service.history.auditing import landed_contents


def verify_on_chain(session: Session, transaction_id: UUID) -> Proof:
    """Asks a node about a journalled transaction, at ``finalized``, else at ``confirmed``.

    Raises:
        MintTransaction.DoesNotExist: There is no such transaction.
        SolanaError: No node answered, or not so that it can be read.
    """
    row = journalled(transaction_id)
    genesis_hash, found, oldest = session.run(_ask(session, row.signature))
    if found is None:
        return prove(row, None, oldest_block=oldest)
    landed, commitment = found
    mint = Pubkey.from_string(row.read_as)
    contents = landed_contents(landed, mint)
    told = landed.called is not None or not _asks_programs(landed, mint)
    return prove(row, Kept(landed, contents, commitment, genesis_hash, told))


def journalled(transaction_id: UUID) -> Journalled:
    """What the journal says of a transaction and of the results that it pays.

    Raises:
        MintTransaction.DoesNotExist: There is no such transaction.
        SolanaError: There is no mint to read it by.
    """
    row = MintTransaction.objects.select_related("batch").get(id=transaction_id)
    mint = MintInfo.objects.filter(genesis_hash=row.genesis_hash, address=row.mint_address).first()
    # A mint that nobody recorded pays nobody of ours; the rest can still be read with the last one.
    mint = mint or MintInfo.objects.order_by("recorded_at").last()
    if mint is None:
        raise SolanaError("no mint was ever recorded here")
    batch_ids = (row.batch_id, *filter(None, [row.batch.retry_of_id]))
    return Journalled(
        signature=row.signature,
        raw=bytes(row.raw),
        status=TransactionStatus(row.status),
        genesis_hash=row.genesis_hash,
        mint=row.mint_address,
        read_as=mint.address,
        token_program=mint.token_program,
        authority=mint.mint_authority,
        fee_payer=row.fee_payer,
        blockhash=row.blockhash,
        version=row.version,
        batch_ids=batch_ids,
        memo_root=bytes(row.memo_root),
        reading_ids=tuple(row.reading_ids),
        base_units=int(row.base_units),
        fee=row.network_fee_lamports + row.priority_fee_lamports,
        rent=row.rent_lamports,
        slot=row.slot,
        error=row.error,
        paid=tuple(_paid(row)),
    )


def _paid(row: MintTransaction) -> list[PaidResult]:
    """Its results; of one that pays nothing any more, those that its bytes were signed for."""
    live = Q(transaction=row)
    released = {TransactionStatus.FAILED, TransactionStatus.EXPIRED}
    if row.status in released:
        live = Q(batch=row.batch_id, reading__in=row.reading_ids)
    return [
        PaidResult(reading_id, wallet, int(units), kwh, reading_kwh, signature, slot)
        for reading_id, wallet, units, kwh, reading_kwh, signature, slot in (
            MintResult.objects.filter(live)
            .order_by("reading_id")
            .values_list(
                "reading_id",
                "wallet_address",
                "base_units",
                "kwh_amount",
                "reading__kwh_amount",
                "tx_signature",
                "slot",
            )
        )
    ]


def _asks_programs(landed: LandedTransaction, mint: Pubkey) -> bool:
    """Whether it calls programs whose mints only their own calls tell."""
    bare = read_transaction(landed.raw, mint, called=None, loaded=landed.loaded_addresses)
    return bool(bare.asked)


async def _ask(
    session: Session, signature: str
) -> tuple[str, tuple[LandedTransaction, Commitment] | None, int | None]:
    """The cluster, the transaction and how sure it is, and the oldest block where there is none."""
    cluster = session.cluster
    genesis_hash = await cluster.genesis_hash()
    for commitment in (Commitment.FINALIZED, Commitment.CONFIRMED):
        landed = await cluster.transaction(signature, commitment=commitment)
        if landed is not None:
            return genesis_hash, (landed, commitment), None
    try:
        oldest = await cluster.first_available_block()
    except SolanaError:
        oldest = None  # a node may lack this; absence then simply stays unexplained
    return genesis_hash, None, oldest
