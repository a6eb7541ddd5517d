"""The virtual machine: LiteSVM, plus the rules of loading and charging that it leaves out.

LiteSVM executes programs as mainnet does, but ignores the limits and the bid of a v1 transaction
and the loaded-data limit of any (measured with solders 0.29). Here every limit is set or checked
before a transaction runs, and the fee is charged whether it succeeds or fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from solders.account import Account
from solders.clock import Clock
from solders.compute_budget import ComputeBudget
from solders.hash import Hash
from solders.litesvm import LiteSVM
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction_metadata import (
    FailedTransactionMetadata,
    InnerInstruction,
    TransactionMetadata,
)
from solders.transaction_status import TransactionReturnData

from gridtoken.embedded.chain.budget import Budget
from gridtoken.embedded.chain.errors import Refusal, error_json
from gridtoken.embedded.chain.transaction import DecodedTransaction, check_locks

SYSTEM_PROGRAM = Pubkey.default()
SYSVAR_INSTRUCTIONS = Pubkey.from_string("Sysvar1nstructions1111111111111111111111111")
UPGRADEABLE_LOADER = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
LOOKUP_TABLE_PROGRAM = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")
BPF_LOADER = Pubkey.from_string("BPFLoader2111111111111111111111111111111111")
LOADERS = frozenset(
    {
        BPF_LOADER,
        UPGRADEABLE_LOADER,
        Pubkey.from_string("NativeLoader1111111111111111111111111111111"),
        Pubkey.from_string("BPFLoader1111111111111111111111111111111111"),
        Pubkey.from_string("LoaderV411111111111111111111111111111111111"),
    }
)
"""Who may own a program (Agave PROGRAM_OWNERS)."""
ACCOUNT_BASE_BYTES = 64
LOOKUP_TABLE_BYTES = 8_248
"""What an account and a lookup table count towards loaded data besides their data (SIMD-0186)."""
LOOKUP_TABLE_HEADER = 56
NONCE_BYTES = 80
FEES_ONLY = frozenset(
    {
        "ProgramAccountNotFound",
        "InvalidProgramForExecution",
        "MaxLoadedAccountsDataSizeExceeded",
    }
)
"""Failures of loading: the transaction lands, pays its fee and does nothing (SIMD-0082)."""

State = Mapping[Pubkey, Account | None]


@dataclass(frozen=True, slots=True)
class Resolved:
    """The accounts of a transaction in index order, lookup tables followed."""

    keys: tuple[Pubkey, ...]
    writable: tuple[bool, ...]
    loaded_writable: tuple[Pubkey, ...] = ()
    loaded_readonly: tuple[Pubkey, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a transaction did, or how it failed; in either case it paid."""

    resolved: Resolved
    before: tuple[Account | None, ...]
    after: tuple[Account | None, ...]
    fee: int
    loaded_bytes: int
    err: Any = None
    units: int = 0
    logs: tuple[str, ...] = ()
    inner: tuple[tuple[InnerInstruction, ...], ...] = ()
    return_data: TransactionReturnData | None = None

    def changes(self) -> dict[Pubkey, Account | None]:
        """Returns what the changed accounts held before."""
        return {
            key: before
            for key, before, after in zip(self.resolved.keys, self.before, self.after, strict=True)
            if before != after
        }


class Machine:
    """One set of accounts and the programs that change them. Not for two threads at once."""

    def __init__(self) -> None:
        self._svm = (
            LiteSVM()
            .with_blockhash_check(check=False)
            .with_sigverify(sigverify=False)
            .with_transaction_history(0)
        )
        # LiteSVM's own faucet would be a treasury that this chain's genesis does not know.
        self.put(self._svm.airdrop_pubkey(), None)
        self._budget = ComputeBudget(True)
        self._rent_of_nothing = self.rent(0)

    def get(self, key: Pubkey) -> Account | None:
        """Returns an account as it is now."""
        return self._svm.get_account(key)

    def put(self, key: Pubkey, account: Account | None) -> None:
        """Overwrites an account; None removes it."""
        # LiteSVM drops an account that holds no lamports.
        self._svm.set_account(key, account or Account(0, b"", SYSTEM_PROGRAM))

    def owned_by(self, program: Pubkey) -> dict[Pubkey, Account]:
        """Returns every account that a program owns."""
        return dict(self._svm.get_program_accounts(program))

    def rent(self, data_bytes: int) -> int:
        """Returns the lamports that exempt an account of this size from rent."""
        return self._svm.minimum_balance_for_rent_exemption(data_bytes)

    def turn(self, clock: Clock, hashes: list[tuple[int, Hash]]) -> None:
        """Tells the programs what slot it is, and the hashes of the blocks before."""
        self._svm.set_clock(clock)
        self._svm.set_slot_hashes(hashes)

    def run(self, decoded: DecodedTransaction, budget: Budget) -> Outcome:
        """Executes a transaction and charges its fee.

        Raises:
            Refusal: If no leader would have put it into a block; nothing changed then.
        """
        resolved = self._resolve(decoded)
        before = tuple(self.get(key) for key in resolved.keys)
        self._check_payer(before[0], budget.fee)
        size = self._loaded_bytes(decoded, resolved.keys, before)
        loaded = _Loaded(resolved, before, size, budget.fee)
        err = _why_unloadable(decoded, loaded, budget)
        return self._charge_only(loaded, err) if err else self._execute(decoded, budget, loaded)

    def rehearse(self, decoded: DecodedTransaction, budget: Budget, state: State) -> Outcome:
        """Executes a transaction on top of an older state and undoes it.

        Raises:
            Refusal: As in `run`.
        """
        present = {key: self.get(key) for key in state}
        self._put_all(state)
        try:
            outcome = self.run(decoded, budget)
            self._put_all(outcome.changes())
            return outcome
        finally:
            self._put_all(present)

    def lookup_tables(self, decoded: DecodedTransaction) -> tuple[Pubkey, ...]:
        """Returns the lookup tables that a transaction names."""
        if not isinstance(decoded.message, MessageV0):
            return ()
        return tuple(lookup.account_key for lookup in decoded.message.address_table_lookups)

    def keys_of(self, decoded: DecodedTransaction) -> tuple[Pubkey, ...]:
        """Returns every account of a transaction, lookup tables followed as they are now.

        Raises:
            Refusal: If a lookup table does not give what is looked up.
        """
        return self._resolve(decoded).keys

    def _put_all(self, state: State) -> None:
        for key, account in state.items():
            self.put(key, account)

    def _resolve(self, decoded: DecodedTransaction) -> Resolved:
        static = tuple(decoded.is_writable(index) for index in range(len(decoded.keys)))
        message = decoded.message
        if not isinstance(message, MessageV0) or not message.address_table_lookups:
            return Resolved(decoded.keys, static)
        writable: list[Pubkey] = []
        readonly: list[Pubkey] = []
        for lookup in message.address_table_lookups:
            table = self._lookup_table(lookup.account_key)
            writable += _picked(table, lookup.writable_indexes)
            readonly += _picked(table, lookup.readonly_indexes)
        keys = (*decoded.keys, *writable, *readonly)
        check_locks(keys)
        flags = (*static, *(True for _ in writable), *(False for _ in readonly))
        return Resolved(keys, flags, tuple(writable), tuple(readonly))

    def _lookup_table(self, key: Pubkey) -> bytes:
        account = self.get(key)
        if account is None:
            raise Refusal("AddressLookupTableNotFound")
        if account.owner != LOOKUP_TABLE_PROGRAM:
            raise Refusal("InvalidAddressLookupTableOwner")
        if len(account.data) < LOOKUP_TABLE_HEADER:
            raise Refusal("InvalidAddressLookupTableData")
        return account.data[LOOKUP_TABLE_HEADER:]

    def _check_payer(self, payer: Account | None, fee: int) -> None:
        # In the order of Agave's validate_fee_payer.
        if payer is None:
            raise Refusal("AccountNotFound")
        if payer.owner != SYSTEM_PROGRAM or len(payer.data) not in (0, NONCE_BYTES):
            raise Refusal("InvalidAccountForFee")
        rent = self.rent(len(payer.data)) if payer.data else self._rent_of_nothing
        if payer.lamports < fee + (rent if payer.data else 0):
            raise Refusal("InsufficientFundsForFee")
        left = payer.lamports - fee
        if 0 < left < rent <= payer.lamports:
            raise Refusal({"InsufficientFundsForRent": {"account_index": 0}})

    def _loaded_bytes(
        self,
        decoded: DecodedTransaction,
        keys: tuple[Pubkey, ...],
        accounts: tuple[Account | None, ...],
    ) -> int:
        # SIMD-0186: every account counts, missing ones too; a program brings its program data.
        total = LOOKUP_TABLE_BYTES * len(self.lookup_tables(decoded))
        counted = set(keys)
        for key, account in zip(keys, accounts, strict=True):
            if key == SYSVAR_INSTRUCTIONS:
                continue
            total += ACCOUNT_BASE_BYTES + (len(account.data) if account else 0)
            if account is None or not account.executable or account.owner != UPGRADEABLE_LOADER:
                continue
            program_data = Pubkey(account.data[4:36])
            if program_data not in counted and (found := self.get(program_data)):
                counted.add(program_data)
                total += ACCOUNT_BASE_BYTES + len(found.data)
        return total

    def _charge_only(self, loaded: _Loaded, err: str) -> Outcome:
        self._charge(loaded.payer, loaded.fee)
        return loaded.outcome((self.get(loaded.payer), *loaded.before[1:]), err)

    def _charge(self, payer: Pubkey, lamports: int) -> None:
        account = self.get(payer)
        if account is None or account.lamports < lamports:
            raise AssertionError("the payer was checked before it was charged")
        self.put(payer, Account(account.lamports - lamports, account.data, account.owner))

    def _execute(self, decoded: DecodedTransaction, budget: Budget, loaded: _Loaded) -> Outcome:
        if decoded.version == 1 and budget.priority_fee:
            # LiteSVM charges the signatures and v0's bid, but knows nothing of v1's.
            self._charge(loaded.payer, budget.priority_fee)
        self._budget.compute_unit_limit = budget.compute_units
        self._budget.heap_size = budget.heap_bytes
        self._svm.with_compute_budget(self._budget)
        result = self._svm.send_transaction(decoded.tx)
        places = zip(loaded.resolved.keys, loaded.resolved.writable, loaded.before, strict=True)
        after = tuple(self.get(key) if writable else held for key, writable, held in places)
        if isinstance(result, TransactionMetadata):
            return loaded.outcome(after, None, result)
        return self._failed(loaded, after, result)

    def _failed(
        self,
        loaded: _Loaded,
        after: tuple[Account | None, ...],
        result: FailedTransactionMetadata,
    ) -> Outcome:
        err = error_json(result.err())
        if _lamports(loaded.before[0]) - _lamports(after[0]) == loaded.fee:
            return loaded.outcome(after, err, result.meta())
        # Not charged: LiteSVM did not get as far as running it.
        self.put(loaded.payer, loaded.before[0])
        if isinstance(err, str) and err in FEES_ONLY:
            return self._charge_only(loaded, err)
        raise Refusal(err)


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A transaction that is about to run: what it found, and what it owes in any case."""

    resolved: Resolved
    before: tuple[Account | None, ...]
    size: int
    fee: int

    @property
    def payer(self) -> Pubkey:
        return self.resolved.keys[0]

    def outcome(
        self,
        after: tuple[Account | None, ...],
        err: Any,
        meta: TransactionMetadata | None = None,
    ) -> Outcome:
        if meta is None:
            return Outcome(self.resolved, self.before, after, self.fee, self.size, err)
        returned = meta.return_data()
        return Outcome(
            resolved=self.resolved,
            before=self.before,
            after=after,
            fee=self.fee,
            loaded_bytes=self.size,
            err=err,
            units=meta.compute_units_consumed(),
            logs=tuple(meta.logs()),
            inner=tuple(tuple(group) for group in meta.inner_instructions()),
            return_data=returned if returned.data else None,
        )


def _why_unloadable(decoded: DecodedTransaction, loaded: _Loaded, budget: Budget) -> str | None:
    if loaded.size > budget.loaded_bytes:
        return "MaxLoadedAccountsDataSizeExceeded"
    for index in {instruction.program_id_index for instruction in decoded.instructions}:
        program = loaded.before[index]
        if program is None:
            return "ProgramAccountNotFound"
        if program.owner not in LOADERS:
            return "InvalidProgramForExecution"
    return None


def _lamports(account: Account | None) -> int:
    return account.lamports if account else 0


def _picked(table: bytes, indexes: bytes) -> list[Pubkey]:
    if any(32 * (index + 1) > len(table) for index in indexes):
        raise Refusal("InvalidAddressLookupTableIndex")
    return [Pubkey(table[32 * index : 32 * (index + 1)]) for index in indexes]
