"""What a batch was to cost, what it cost, and why the two differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

from minting.admin import show, tables
from minting.admin.batches.flights import Flights
from minting.models import MintBatch


@dataclass(frozen=True, slots=True)
class Line:
    """Lamports of one kind."""

    name: str
    estimate: int | None
    paid: int


def costs(batch: MintBatch, flights: Flights) -> dict[str, Any]:
    """The table, and the sentences under it."""
    fees = Line("Fees", batch.fee_estimate_lamports, batch.fee_paid_lamports)
    rent = Line("Rent", batch.rent_estimate_lamports, batch.rent_paid_lamports)
    lines = [fees, rent, _total(fees, rent)]
    return {
        "table": tables.table(
            ["Cost", "Estimate", "Paid", "Difference"],
            [
                [line.name, _amount(line.estimate), _amount(line.paid), _difference(line)]
                for line in lines
            ],
        ),
        "why": list(explained(batch, flights, fees, rent)),
    }


def explained(batch: MintBatch, flights: Flights, fees: Line, rent: Line) -> Iterator[str]:
    """Why what was paid is what it is, the weightiest first."""
    if fees.estimate is None or rent.estimate is None:
        yield "There is no estimate: it was switched off, or no node answered at the time."
        return
    if not batch.is_final:
        yield "Not finished: what was paid so far is compared with all of the estimate."
    as_estimated = (fees.paid, rent.paid) == (fees.estimate, rent.estimate)
    if batch.is_final and as_estimated:
        yield "Paid to the lamport what was estimated."
    yield from _losses(flights)
    if batch.is_final and not as_estimated:
        yield from _unpaid(batch)
        yield from _fees(batch, flights, fees)
        yield from _rent(batch, flights, rent)


def _losses(flights: Flights) -> Iterator[str]:
    if flights.failed:
        yield (
            f"{_transactions(flights.failed)} landed with an error: "
            f"{show.lamports(flights.wasted)} of fees for nothing; what it paid was signed again."
        )
    if flights.expired:
        yield (
            f"{_transactions(flights.expired)} proven dead, which cost nothing; "
            "their readings were signed again."
        )


def _unpaid(batch: MintBatch) -> Iterator[str]:
    if batch.failed_mints:
        yield (
            f"{show.readings(batch.failed_mints)} ended without tokens: "
            "what was planned for them alone was not paid."
        )


def _fees(batch: MintBatch, flights: Flights, fees: Line) -> Iterator[str]:
    more = fees.paid - (fees.estimate or 0) - flights.wasted
    if more > 0:
        yield (
            "More transactions were needed than planned, or a higher priority fee: accounts, "
            "prices or the format changed between plan and signing. "
            f"{_transactions(flights.landed)} landed."
        )
    elif more < 0 and not batch.failed_mints:
        yield f"Fewer transactions were needed than planned: {flights.landed:,} landed."


def _rent(batch: MintBatch, flights: Flights, rent: Line) -> Iterator[str]:
    planned = rent.estimate or 0
    accounts = f"{flights.new_accounts:,} token account{'' if flights.new_accounts == 1 else 's'}"
    if rent.paid > planned:
        yield f"{accounts} were created, more than planned: owners closed theirs meanwhile."
    elif rent.paid < planned and not batch.failed_mints:
        yield f"{accounts} were created, fewer than planned: the others existed by then."


def _total(fees: Line, rent: Line) -> Line:
    known = fees.estimate is not None and rent.estimate is not None
    estimate = (fees.estimate or 0) + (rent.estimate or 0) if known else None
    return Line("Total", estimate, fees.paid + rent.paid)


def _amount(lamports: int | None) -> SafeString | str:
    if lamports is None:
        return "none was made"
    return _units(show.lamports(lamports), show.sol(lamports))


def _difference(line: Line) -> SafeString | str:
    if line.estimate is None:
        return ""
    difference = line.paid - line.estimate
    if not difference:
        return "none"
    return _units(f"{difference:+,} lamports", show.sol(difference))


def _units(lamports: str, sol: str) -> SafeString:
    return format_html(
        '<div>{}<div class="text-subtle text-xs">{}</div></div>',
        lamports,
        sol,
    )


def _transactions(count: int) -> str:
    return f"{count:,} transaction{'' if count == 1 else 's'}"
