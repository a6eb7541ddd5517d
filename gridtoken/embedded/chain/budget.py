"""What a transaction asks for: compute units, loaded data, heap, and what it bids."""

from __future__ import annotations

from dataclasses import dataclass

from solders.message import MessageV1
from solders.pubkey import Pubkey

from gridtoken.embedded.chain.errors import Refusal
from gridtoken.embedded.chain.transaction import DecodedTransaction

LAMPORTS_PER_SIGNATURE = 5_000
MAX_COMPUTE_UNITS = 1_400_000
"""Agave MAX_COMPUTE_UNIT_LIMIT."""
UNITS_PER_INSTRUCTION = 200_000
"""Default for a program in the virtual machine (Agave DEFAULT_INSTRUCTION_COMPUTE_UNIT_LIMIT)."""
UNITS_PER_BUILTIN = 3_000
"""Default for a builtin (SIMD-0170)."""
MAX_LOADED_BYTES = 64 * 1024 * 1024
"""Default and ceiling of loaded accounts data (Agave MAX_LOADED_ACCOUNTS_DATA_SIZE_BYTES)."""
HEAP_BYTES = 32 * 1024
MAX_HEAP_BYTES = 256 * 1024
LOADED_PAGE_BYTES = 32 * 1024
LOADED_PAGE_UNITS = 8
"""Loaded data costs a block 8 units a 32 KiB page (SIMD-0014's heap price, Agave cost model)."""
SIGNATURE_UNITS = 720
WRITE_LOCK_UNITS = 300
DATA_BYTES_PER_UNIT = 4
"""Agave's cost model, block_cost_limits.rs."""

COMPUTE_BUDGET = Pubkey.from_string("ComputeBudget111111111111111111111111111111")
BUILTINS = frozenset(
    {
        COMPUTE_BUDGET,
        Pubkey.from_string("11111111111111111111111111111111"),
        Pubkey.from_string("Vote111111111111111111111111111111111111111"),
        Pubkey.from_string("BPFLoader1111111111111111111111111111111111"),
        Pubkey.from_string("BPFLoader2111111111111111111111111111111111"),
        Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111"),
    }
)


@dataclass(frozen=True, slots=True)
class Budget:
    """The limits and the fee of one transaction."""

    compute_units: int
    loaded_bytes: int
    heap_bytes: int
    base_fee: int
    priority_fee: int

    @property
    def fee(self) -> int:
        """What the payer is charged, whether the transaction succeeds or fails."""
        return self.base_fee + self.priority_fee

    @property
    def price(self) -> int:
        """The bid in micro-lamports per compute unit, by which leaders choose."""
        return self.priority_fee * 1_000_000 // max(self.compute_units, 1)


def budget_of(decoded: DecodedTransaction) -> Budget:
    """Reads limits and bid out of v1's config or the compute budget instructions.

    Raises:
        Refusal: For an instruction given twice or with a value out of range.
    """
    base = LAMPORTS_PER_SIGNATURE * decoded.required_signatures
    if isinstance(decoded.message, MessageV1):
        return _from_config(decoded.message, base)
    return _from_instructions(decoded, base)


def price_of(decoded: DecodedTransaction) -> int:
    """What it bids, in micro-lamports per compute unit; 0 where it will be turned away."""
    try:
        return budget_of(decoded).price
    except Refusal:
        return 0


def block_units(
    decoded: DecodedTransaction, *, writable: int, executed: int, loaded_bytes: int
) -> int:
    """Returns the room one transaction takes of a block (Agave's cost model)."""
    data = sum(len(instruction.data) for instruction in decoded.instructions)
    pages = -(-loaded_bytes // LOADED_PAGE_BYTES)
    return (
        SIGNATURE_UNITS * decoded.required_signatures
        + WRITE_LOCK_UNITS * writable
        + data // DATA_BYTES_PER_UNIT
        + pages * LOADED_PAGE_UNITS
        + executed
    )


def _from_config(message: MessageV1, base: int) -> Budget:
    # SIMD-0385: a limit left unset is zero, and the priority fee is lamports in total.
    config = message.config
    heap = config.heap_size or HEAP_BYTES
    if not HEAP_BYTES <= heap <= MAX_HEAP_BYTES or heap % 1024:
        raise Refusal("SanitizeFailure")
    return Budget(
        compute_units=min(config.compute_unit_limit or 0, MAX_COMPUTE_UNITS),
        loaded_bytes=min(config.loaded_accounts_data_size_limit or 0, MAX_LOADED_BYTES),
        heap_bytes=heap,
        base_fee=base,
        priority_fee=config.priority_fee or 0,
    )


_REQUEST_HEAP, _UNIT_LIMIT, _UNIT_PRICE, _LOADED_LIMIT = 1, 2, 3, 4
_FIELD_BYTES = {_REQUEST_HEAP: 4, _UNIT_LIMIT: 4, _UNIT_PRICE: 8, _LOADED_LIMIT: 4}


def _from_instructions(decoded: DecodedTransaction, base: int) -> Budget:
    asked: dict[int, int] = {}
    default_units = 0
    for index, instruction in enumerate(decoded.instructions):
        program = decoded.keys[instruction.program_id_index]
        default_units += UNITS_PER_BUILTIN if program in BUILTINS else UNITS_PER_INSTRUCTION
        if program != COMPUTE_BUDGET:
            continue
        kind = instruction.data[0] if instruction.data else 0
        width = _FIELD_BYTES.get(kind)
        if width is None or len(instruction.data) <= width:
            raise Refusal({"InstructionError": [index, "InvalidInstructionData"]})
        if kind in asked:
            raise Refusal({"DuplicateInstruction": index})
        asked[kind] = int.from_bytes(instruction.data[1 : 1 + width], "little")
    heap = asked.get(_REQUEST_HEAP, HEAP_BYTES)
    if not HEAP_BYTES <= heap <= MAX_HEAP_BYTES or heap % 1024:
        raise Refusal("SanitizeFailure")
    if asked.get(_LOADED_LIMIT) == 0:
        raise Refusal("InvalidLoadedAccountsDataSizeLimit")
    units = min(asked.get(_UNIT_LIMIT, default_units), MAX_COMPUTE_UNITS)
    return Budget(
        compute_units=units,
        loaded_bytes=min(asked.get(_LOADED_LIMIT, MAX_LOADED_BYTES), MAX_LOADED_BYTES),
        heap_bytes=heap,
        base_fee=base,
        priority_fee=-(-asked.get(_UNIT_PRICE, 0) * units // 1_000_000),
    )
