"""The seed's service, by the seed's names, over the engine's batch path.

Where the seed's listing sends first and remembers afterwards, everything here goes through the
journal; where it drops the readings of a failed group, every reading gets its result (I9).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import structlog
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from minting import journal
from minting.conf import MintingConfig, current
from minting.engine.batching import optimize_batch, validate
from minting.engine.errors import (
    EmptyBatch,
    FeeEstimationDisabled,
    InvalidBatchData,
    InvalidItem,
    PartiallySuccessful,
)
from minting.engine.states import ResultStatus
from minting.engine.types import (
    MAX_BATCH_SIZE,
    Destination,
    Group,
    MintBatchData,
    MintResult,
    Payment,
    Signer,
)
from minting.engine.wallets import associated_token_address, judge_token_account, parse_wallet
from minting.models import BatchSource, MintBatch
from minting.models import MintResult as MintResultRow
from minting.service.chain.preflight import inspect_mint
from minting.service.chain.program import program_for
from minting.service.chain.session import open_session
from minting.service.drive.submit import drive_waiting
from minting.service.plan.estimate import Estimate, estimate_payments
from minting.service.requests.prepare import NAMED, request_batch
from readings import queries
from readings.queries import MintableRow

__all__ = ["MAX_BATCH_SIZE", "BlockchainService"]

log = structlog.get_logger(__name__)


class BlockchainService:
    """Mints readings now, in the caller's process; the queue's workers do the same by ``tasks``."""

    def __init__(self, config: MintingConfig | None = None) -> None:
        self.config = config or current()

    def mint_energy_tokens_batch(
        self,
        authority: Signer,
        batch_data: Sequence[MintBatchData],
        *,
        raise_partial: bool = False,
    ) -> list[MintResult]:
        """Mints tokens for several readings in one operation, in parallel over their wallets.

        Args:
            authority: The mint authority, which also pays.
            batch_data: At most ``BLOCKCHAIN_MAX_BATCH_SIZE`` readings (``optimize_batch`` cuts
                longer lists).
            raise_partial: Whether a batch of which some failed raises instead of answering.

        Returns:
            One result per reading, in the order given.

        Raises:
            EmptyBatch, BatchTooLarge, InvalidBatchData: before anything is written or signed.
            MintingRefused: wrong cluster, mint, authority or decimals.
            MintingStopped: a person or a limit stopped minting.
            PartiallySuccessful: ``raise_partial``, and some readings failed.
        """
        self._validate(batch_data)
        journal.refuse_while_stopped()
        batch = request_batch(
            [data.reading_id for data in batch_data],
            source=BatchSource.CLI,
            strict=True,
            max_size=self.config.max_batch_size,
            nudge=False,
        )
        with open_session(self.config) as session:
            drive_waiting(session, worker="blockchain_service", batch_id=batch.id, signer=authority)
        results = self._results(batch, batch_data)
        succeeded = sum(result.success for result in results)
        if raise_partial and succeeded < len(results):
            raise PartiallySuccessful(succeeded, len(results))
        return results

    def mint_for_user_batch(
        self, authority: Signer, batch: Sequence[MintBatchData]
    ) -> list[MintResult]:
        """Mints the readings of one user.

        Raises:
            InvalidBatchData: readings of more than one user.
        """
        if len({data.user_id for data in batch}) > 1:
            raise InvalidBatchData("readings of more than one user")
        return self.mint_energy_tokens_batch(authority, batch)

    def mint_energy_tokens(self, authority: Signer, data: MintBatchData) -> MintResult:
        """The single mint of old: a batch of one."""
        return self.mint_energy_tokens_batch(authority, [data])[0]

    def get_or_create_user_token_account(self, user_wallet: str) -> tuple[Pubkey, bool]:
        """The wallet's associated token account, and whether the next mint creates it.

        It is never created by a transaction of its own: the idempotent create instruction rides
        with the first mint.

        Raises:
            WalletRefused: the wallet, or what is at its token address, must not be paid.
            SolanaError: the cluster did not answer.
        """
        wallet = parse_wallet(user_wallet)
        with open_session(self.config) as session:
            mint = inspect_mint(session).facts
            address = associated_token_address(wallet, mint)
            view = session.run(session.cluster.account(address))
            return address, judge_token_account(wallet, view, mint).create

    def create_batch_mint_instruction(
        self, authority: Pubkey, user_wallet: str, payments: Sequence[Payment]
    ) -> Instruction:
        """The one instruction that mints a group's sum to its wallet's token account.

        Raises:
            EmptyBatch: no payment.
            WalletRefused: not a wallet.
        """
        if not payments:
            raise EmptyBatch
        wallet = parse_wallet(user_wallet)
        with open_session(self.config) as session:
            mint = inspect_mint(session).facts
        group = Group("", wallet, tuple(sorted(payments, key=lambda each: each.reading_id.bytes)))
        destination = Destination(group, associated_token_address(wallet, mint), create=False)
        return program_for(self.config, mint).mint(destination, mint, authority)[0]

    def optimize_batch(self, batch: Sequence[MintBatchData]) -> list[list[MintBatchData]]:
        """Cuts a list as the seed does: order kept, greedy, both limits."""
        return optimize_batch(
            batch,
            max_size=self.config.max_batch_size,
            max_tokens=self.config.max_tokens_per_transaction,
        )

    def estimate_batch_fee(self, batch: Sequence[MintBatchData]) -> int:
        """Lamports that minting ``batch`` takes from the authority: fees and rent.

        Raises:
            EmptyBatch, FeeEstimationDisabled, MintingRefused, SolanaError.
        """
        return self.estimate(batch).cost.total

    def estimate(self, batch: Sequence[MintBatchData]) -> Estimate:
        """The plan of ``batch`` and its exact cost; see ``estimate_batch_fee``."""
        if not batch:
            raise EmptyBatch
        if not self.config.fee_estimation_enabled:
            raise FeeEstimationDisabled
        with open_session(self.config) as session:
            return estimate_payments(session, batch)

    def _validate(self, batch_data: Sequence[MintBatchData]) -> None:
        """The engine's checks, and the registry's: reading, energy, owner, wallet."""
        validate(
            batch_data,
            max_size=self.config.max_batch_size,
            ratio=self.config.ratio,
            decimals=self.config.decimals,
        )
        found = queries.look_for_minting([data.reading_id for data in batch_data], allowed=NAMED)
        problems = [InvalidItem(row.reading_id, row.code, row.reason) for row in found.excluded]
        known = {row.reading_id: row for row in found.mintable}
        for data in batch_data:
            if (row := known.get(data.reading_id)) is not None:
                problems += _differences(data, row)
        if problems:
            raise InvalidBatchData(f"{len(problems)} readings differ from the registry", problems)

    def _results(self, batch: MintBatch, batch_data: Sequence[MintBatchData]) -> list[MintResult]:
        rows = {row.reading_id: row for row in MintResultRow.objects.filter(batch=batch)}
        return [_answer(rows[data.reading_id]) for data in batch_data]


def _differences(data: MintBatchData, row: MintableRow) -> Iterator[InvalidItem]:
    """Where what is asked differs from what is registered."""
    if row.kwh_amount != data.kwh_amount:
        yield InvalidItem(data.reading_id, "wrong_amount", f"the meter says {row.kwh_amount} kWh")
    if row.owner_user_id != data.user_id:
        yield InvalidItem(data.reading_id, "wrong_owner", "it is another user's reading")
    if row.wallet_address != data.wallet_address:
        yield InvalidItem(data.reading_id, "wrong_wallet", "it is not the owner's wallet")


def _answer(row: MintResultRow) -> MintResult:
    if row.success is None:
        # Signed, and its fate not proven: recovery goes on; the batch tells the rest.
        code = ResultStatus(row.status).value
        return MintResult(row.reading_id, success=False, error=f"still {code}", error_code=code)
    return MintResult(
        reading_id=row.reading_id,
        success=row.success,
        error=row.error or None,
        tx_signature=row.tx_signature or None,
        error_code=row.error_code or None,
    )
