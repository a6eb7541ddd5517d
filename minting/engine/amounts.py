"""kWh to base units: exact, rounded down, reading by reading. Floats nowhere.

Each reading is rounded by itself, so that its leaf, its approval and its estimate depend on
nothing else (readings, "Amount").
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import (
    MAX_EMAX,
    MAX_PREC,
    MIN_EMIN,
    ROUND_FLOOR,
    Context,
    Decimal,
    Inexact,
    InvalidOperation,
    localcontext,
)

from minting.engine.errors import InvalidBatchData
from minting.engine.types import U64_MAX

# Products and sums need no more digits than their operands have, so that the largest precision
# costs nothing; an inexact step would be a bug and is trapped.
_EXACT = Context(
    prec=MAX_PREC,
    rounding=ROUND_FLOOR,
    Emin=MIN_EMIN,
    Emax=MAX_EMAX,
    traps=[Inexact, InvalidOperation],
)


def tokens_for(kwh: Decimal, *, ratio: Decimal, decimals: int) -> int:
    """Base units that a reading earns: ``floor(kwh * ratio * 10**decimals)``.

    Args:
        kwh: Exported energy of one reading.
        ratio: Tokens per kWh (``TOKENIZATION_KWH_TO_TOKEN_RATIO``).
        decimals: Places of the token's shown form.

    Raises:
        InvalidBatchData: If the energy is not a positive number, earns less than one base unit,
            or earns more than a u64 holds.
    """
    units = _exact_units(kwh, ratio, decimals)
    if units < 1:
        raise InvalidBatchData(f"{kwh} kWh earn less than one base unit")
    if units >= U64_MAX + 1:
        raise InvalidBatchData(f"{kwh} kWh earn more base units than a u64 holds")
    return int(units)


def fraction_lost(kwh: Decimal, *, ratio: Decimal, decimals: int) -> Decimal:
    """What rounding down takes from one reading, in base units: at least 0, less than 1.

    Raises:
        InvalidBatchData: If the energy is not a positive number.
    """
    units = _exact_units(kwh, ratio, decimals)
    with localcontext(_EXACT):
        return units - units.to_integral_value(rounding=ROUND_FLOOR)


def base_units_lost(kwh: Decimal, base_units: int, *, ratio: Decimal, decimals: int) -> Decimal:
    """What rounding down took from many readings together, in base units.

    Args:
        kwh: Their energy.
        base_units: What they earn, each rounded by itself.
        ratio: Tokens per kWh.
        decimals: Places of the token's shown form.
    """
    with localcontext(_EXACT):
        return (kwh * ratio).scaleb(decimals) - base_units


def kwh_total(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum of finite amounts; zero for none."""
    with localcontext(_EXACT):
        return sum(amounts, start=Decimal(0))


def _exact_units(kwh: Decimal, ratio: Decimal, decimals: int) -> Decimal:
    """``kwh * ratio * 10**decimals`` before rounding."""
    if not kwh.is_finite() or kwh <= 0:
        raise InvalidBatchData(f"{kwh} kWh is not a positive amount of energy")
    if not ratio.is_finite() or ratio <= 0 or decimals < 0:
        raise InvalidBatchData(f"{ratio} tokens per kWh with {decimals} decimals is no rate")
    with localcontext(_EXACT):
        return (kwh * ratio).scaleb(decimals)
