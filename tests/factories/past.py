"""A mint's long past: a journal written by COPY, and a node whose history is the same.

Every transaction is real: built as ours are and signed, so that whatever is read from its bytes,
or compared with its results, is what a chain would have kept. Only nobody executed it.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count, cycle, islice
from random import Random
from typing import NamedTuple
from uuid import UUID

from django.db import connection, transaction
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import to_bytes_versioned
from solders.pubkey import Pubkey
from spl.token.constants import TOKEN_PROGRAM_ID

from bench.copying import Pen, binary
from minting.engine.messages import build_message, unsigned
from minting.engine.programs.spl_token import SplTokenProgram
from minting.engine.receipts import memo_text, plan_root
from minting.engine.types import (
    Cost,
    Destination,
    ExecutionLimits,
    Group,
    MessageVersion,
    MintFacts,
    Payment,
    PlannedTransaction,
)
from minting.engine.wallets import associated_token_address
from minting.models import MintBatch, MintResult, MintSlice, MintTransaction
from readings.models import MeterReading
from tests.factories.readings import QUARTER
from tests.factories.village import Villager, village
from tests.minting.cluster.fake_node import GENESIS, FakeNode, value

UNITS = 250_000_000
"""Base units of each reading: 0.25 kWh."""

LIMITS = ExecutionLimits(compute_units=300_000, loaded_data_bytes=2**20)
BLOCKHASH = str(Hash.hash(b"long ago"))
ROWS = 200
"""Transactions written at a time."""


class Entry(NamedTuple):
    """A row of the mint's history."""

    signature: str
    slot: int
    memo: str


@dataclass
class Past:
    """What was minted so far, and who was paid."""

    authority: Keypair = field(default_factory=Keypair)
    mint: Pubkey = field(default_factory=lambda: Keypair().pubkey())
    history: list[Entry] = field(default_factory=list)
    """Oldest first; one transaction a slot."""
    supply: int = 0
    villagers: list[Villager] = field(default_factory=lambda: village(60))
    _pen: Pen = field(default_factory=lambda: Pen(Random(1)))  # noqa: S311 — nothing secret
    _places: dict[str, int] = field(default_factory=dict)
    _ends: Iterator[datetime] = field(
        default_factory=lambda: (datetime(2026, 1, 1, tzinfo=UTC) - n * QUARTER for n in count())
    )

    @property
    def facts(self) -> MintFacts:
        """As the mint's account tells them."""
        return MintFacts(
            address=self.mint,
            token_program=TOKEN_PROGRAM_ID,
            decimals=9,
            supply=self.supply,
            mint_authority=self.authority.pubkey(),
            freeze_authority=None,
            account_size=165,
        )

    # ------------------------------------------------------------------ what was minted

    def mint_more(self, transactions: int, *, wallets: int = 2, readings_each: int = 1) -> None:
        """One batch of so many finalized transactions, each paying so many wallets."""
        batch, slice_ = self._pen.uuid7(_now()), self._pen.uuid7(_now())
        paid = cycle(self.villagers)
        self._batch(batch, slice_, readings=transactions * wallets * readings_each)
        with transaction.atomic():
            for number in range(1, transactions + 1):
                self._transaction(batch, slice_, list(islice(paid, wallets)), readings_each)
                if number % ROWS == 0 or number == transactions:
                    self._pen.write()
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")

    def _batch(self, batch: str, slice_: str, *, readings: int) -> None:
        self._pen.add(
            MintBatch,
            id=batch,
            status="succeeded",
            source="api",
            created_at=_now(),
            started_at=_now(),
            finished_at=_now(),
            genesis_hash=GENESIS,
            mint_address=self.mint,
            total_readings=readings,
            successful_mints=readings,
            excluded="[]",
        )
        self._pen.add(MintSlice, id=slice_, batch_id=batch, number=0, status="done")

    def _transaction(
        self, batch: str, slice_: str, paid: Sequence[Villager], readings_each: int
    ) -> None:
        readings = {each: [self._pen.uuid4() for _ in range(readings_each)] for each in paid}
        plan = PlannedTransaction(
            UUID(batch),
            tuple(self._destination(each, ids) for each, ids in readings.items()),
            MessageVersion.V1,
            Cost(network_fee=5_000),
        )
        message = build_message(
            plan,
            mint=self.facts,
            program=SplTokenProgram(),
            authority=self.authority.pubkey(),
            blockhash=BLOCKHASH,
            limits=LIMITS,
        )
        signature = self.authority.sign_message(to_bytes_versioned(message))
        root = plan_root(plan)
        slot = 1_000 + len(self.history)
        id_ = self._pen.uuid7(_now())
        self._pen.add(
            MintTransaction,
            id=id_,
            batch_id=batch,
            slice_id=slice_,
            status="finalized",
            signature=signature,
            raw=binary(unsigned(message, [signature])),
            version=plan.version,
            genesis_hash=GENESIS,
            mint_address=self.mint,
            fee_payer=self.authority.pubkey(),
            blockhash=BLOCKHASH,
            blockhash_slot=slot - 5,
            last_valid_block_height=slot + 145,
            memo_root=binary(root),
            reading_ids="{" + ",".join(str(each.reading_id) for each in plan.payments) + "}",
            base_units=plan.base_units,
            network_fee_lamports=5_000,
            slot=slot,
            signed_at=_now(),
            sent_at=_now(),
            confirmed_at=_now(),
            finalized_at=_now(),
        )
        whose = {"batch_id": batch, "slice_id": slice_, "transaction_id": id_}
        for villager, ids in readings.items():
            for reading in ids:
                self._reading(reading, villager, tx_signature=signature, slot=slot, **whose)
        self.supply += plan.base_units
        self._places[str(signature)] = len(self.history)
        memo = f"[70] {memo_text(plan.batch_id, root)}"
        self.history.append(Entry(str(signature), slot, memo))

    def _destination(self, villager: Villager, readings: Sequence[str]) -> Destination:
        wallet = Pubkey.from_string(villager.wallet.address)
        payments = tuple(Payment(UUID(each), UNITS) for each in sorted(readings))
        group = Group(villager.owner.user_id, wallet, payments)
        return Destination(group, associated_token_address(wallet, self.facts), create=False)

    def _reading(self, reading: str, villager: Villager, **landed: object) -> None:
        """One reading and its result, which ``landed`` says more of."""
        result, end = self._pen.uuid7(_now()), next(self._ends)
        self._pen.add(
            MeterReading,
            id=reading,
            meter_id=villager.meter.id,
            owner_id=villager.owner.id,
            kwh_amount="0.25",
            period_start=end - QUARTER,
            period_end=end,
            period_kind="interval",
            status="minted",
            last_result_id=result,
            verification="verified",
            source="api",
            submitted_at=end + timedelta(minutes=1),
        )
        self._pen.add(
            MintResult,
            id=result,
            reading_id=reading,
            user_id=villager.owner.user_id,
            wallet_address=villager.wallet.address,
            kwh_amount="0.25",
            base_units=UNITS,
            status="finalized",
            settled_at=_now(),
            **landed,
        )

    # ------------------------------------------------------------------ what a node says of it

    def node(self) -> FakeNode:
        """A node that has finalized all of it, and whatever is minted while it runs."""
        return FakeNode(
            getAccountInfo=lambda *_: value(self._mint_account(), self._slot()),
            getTokenSupply=lambda *_: value(
                {"amount": str(self.supply), "decimals": 9}, self._slot()
            ),
            getSignaturesForAddress=self._page,
            getTransaction=lambda *_: None,
        )

    def _slot(self) -> int:
        return 1_000 + len(self.history)

    def _mint_account(self) -> dict[str, object]:
        data = bytearray(82)
        data[0:4], data[4:36] = b"\x01\x00\x00\x00", bytes(self.authority.pubkey())
        data[36:44], data[44:46] = self.supply.to_bytes(8, "little"), b"\x09\x01"
        return {
            "lamports": 1_461_600,
            "owner": str(TOKEN_PROGRAM_ID),
            "data": [base64.b64encode(data).decode(), "base64"],
            "executable": False,
        }

    def _page(self, address: str, options: dict[str, object]) -> list[dict[str, object]]:
        assert address == str(self.mint)
        before, limit = options.get("before"), options["limit"]
        assert isinstance(limit, int)
        end = len(self.history) if before is None else self._places[str(before)]
        rows = self.history[max(0, end - limit) : end]
        return [{**entry._asdict(), "err": None} for entry in reversed(rows)]


def _now() -> datetime:
    return datetime.now(UTC)
