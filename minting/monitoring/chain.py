"""Figures of what minting needs: SOL, nodes, and nothing that stands in its way."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from minting import journal
from minting.engine.audit import Difference
from minting.models import ReconcileFinding
from minting.monitoring.families import Row, age, gauge, gauges
from minting.service.watch import chain_health, figures
from minting.service.watch.chain_health import ChainHealth, Payer
from minting.service.watch.runway import runway


def standing() -> Iterator[Metric]:
    """Whether anything may be signed, and whether chain and journal agree."""
    yield gauge(
        "minting_stopped", "1 while minting is stopped.", journal.current_stop() is not None
    )
    yield gauge("gate_closed", "1 while the gate lets nothing be signed.", journal.gate_is_closed())
    open_ = ReconcileFinding.objects.filter(resolved_at__isnull=True, acknowledged_at__isnull=True)
    kinds = list(open_.values_list("kind", flat=True))
    yield gauges(
        "reconcile_differences",
        "Differences between chain and journal that are neither gone nor explained.",
        ["kind"],
        (([each.value], kinds.count(each.value)) for each in Difference),
    )
    yield gauge(
        "reconcile_age_seconds",
        "Since chain and journal were last compared; never: since that was first tried.",
        age(figures.compared_at()),
    )


def chain() -> Iterator[Metric]:
    """The account that pays and the nodes, as they were last seen."""
    seen = chain_health.remembered()
    yield from _authority(seen.payer)
    yield from _nodes(seen)


def _authority(payer: Payer | None) -> Iterator[Metric]:
    known = payer is not None and payer.lamports is not None
    balance = payer.lamports if payer else None
    floor = payer.floor if payer and known else None
    left = runway(balance or 0, floor or 0, figures.recent_cost(), figures.month())
    yield gauge("authority_balance_lamports", "What the mint authority has.", balance)
    yield gauge("authority_floor_lamports", "What it must keep, or transactions fail.", floor)
    yield gauge(
        "authority_balance_age_seconds",
        "Since a node told that balance.",
        age(payer.told_at) if payer else None,
    )
    yield gauge(
        "authority_runway_readings",
        "Readings that it can still pay for, at what the last transactions cost.",
        left.readings if known else None,
    )
    yield gauge(
        "authority_runway_days",
        "Days that it lasts at the pace of the last week.",
        left.days if known else None,
    )


def _nodes(seen: ChainHealth) -> Iterator[Metric]:
    asked = [each for each in seen.nodes if each.answers or each.silent_since]
    well = {each.name: each.answers and each.right_cluster is not False for each in asked}
    yield gauges(
        "node_up",
        "Whether a node answers, and for the right cluster.",
        ["node"],
        (([name], up) for name, up in well.items()),
    )
    yield gauges("node_slot", "Its newest confirmed slot.", ["node"], _told(seen, "slot"))
    yield gauges("node_lag_slots", "Slots behind the foremost node.", ["node"], _told(seen, "lag"))
    yield gauges(
        "node_ailing",
        "Whether it answers, and says or shows that something is wrong with it.",
        ["node"],
        (([each.name], bool(each.trouble)) for each in asked if each.answers),
    )


def _told(seen: ChainHealth, what: str) -> Iterator[Row]:
    rows = ((each.name, getattr(each, what)) for each in seen.nodes)
    return (([name], value) for name, value in rows if value is not None)
