"""The dashboard's parts that others answer: nodes, the account that pays, workers and queue."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from minting.admin import show
from minting.admin.tables import table
from minting.service.watch import chain_health, figures, worker_health
from minting.service.watch.chain_health import NodeHealth, Payer
from minting.service.watch.runway import Runway, runway
from minting.service.watch.worker_health import ClusterHealth, QueueHealth
from readings.admin import copying


def show_chain(_request: HttpRequest) -> dict[str, Any]:
    """The account that pays, and each node."""
    seen = chain_health.look()
    return {
        "answers": seen.answers,
        "silent_since": show.time(_silent_since(seen.nodes)),
        "nodes": table(
            ["Node", "State", "Slot", "Height", "Behind", "Answers in"], map(_node, seen.nodes)
        ),
        "payer": _payer(seen.payer) if seen.payer else None,
    }


def show_workers(_request: HttpRequest) -> dict[str, Any]:
    """Clusters, and what waits for them."""
    seen = worker_health.look()
    return {
        "clusters": table(
            ["Cluster", "State", "Workers", "Running for"], map(_cluster, seen.clusters)
        )
        if seen.clusters
        else None,
        "works": seen.workers > 0,
        "facts": [
            ("Workers", f"{seen.workers:,}"),
            ("Slices being driven", f"{seen.driven:,}"),
            ("Slices that wait", f"{seen.waiting:,}"),
            (f"Queue ({seen.queue.broker})", _depth(seen.queue)),
            ("Its oldest task", _oldest(seen.queue)),
        ],
    }


# ------------------------------------------------------------------ the chain


def _silent_since(nodes: tuple[NodeHealth, ...]) -> datetime | None:
    """Since when nobody answers: since the last of them fell silent."""
    return max((node.silent_since for node in nodes if node.silent_since), default=None)


def _node(node: NodeHealth) -> list[Any]:
    return [
        node.name,
        _state(node),
        "" if node.slot is None else f"{node.slot:,}",
        "" if node.block_height is None else f"{node.block_height:,}",
        "" if node.lag is None else f"{node.lag:,} slot{'' if node.lag == 1 else 's'}",
        "" if node.latency_ms is None else f"{node.latency_ms:,} ms",
    ]


def _state(node: NodeHealth) -> SafeString:
    if node.silent_since is not None:
        return format_html(
            "{} <span>since {}: {}</span>",
            show.badge("failed", "does not answer"),
            show.time(node.silent_since),
            node.trouble,
        )
    if node.right_cluster is False:
        return format_html("{} {}", show.badge("failed", "other cluster"), node.trouble)
    if node.trouble:
        return format_html("{} {}", show.badge("held", "ailing"), node.trouble)
    checked = "genesis hash is right" if node.right_cluster else "no genesis hash to compare yet"
    return format_html('<span title="{}">{}</span>', checked, show.badge("succeeded", "well"))


def _payer(payer: Payer) -> dict[str, Any]:
    known = payer.lamports is not None
    cost = figures.recent_cost()
    left = runway(payer.lamports or 0, payer.floor, cost, figures.month())
    return {
        "address": payer.address,
        "copy": copying.button(payer.address, "address"),
        "balance": show.sol(payer.lamports) if known else "not known yet",
        "trouble": payer.trouble,
        "told": show.time(payer.told_at),
        "runway": _runway(left) if known else "",
        "days": _days(left) if known else "",
        "judged": _judged(cost) if known else "",
        "is_empty": known and left.lamports == 0,
    }


def _runway(left: Runway) -> str:
    if left.lamports == 0:
        return "Nothing can be minted: send SOL to this address"
    if left.readings is None:
        return ""
    mints = f"{left.readings:,} more mint{'' if left.readings == 1 else 's'}"
    return f"SOL for about {mints}"


def _days(left: Runway) -> str:
    if left.days is None or left.lamports == 0:
        return ""
    return f"{left.days:,} day{'' if left.days == 1 else 's'} at the pace of the last week"


def _judged(cost: figures.RecentCost) -> SafeString | str:
    if not cost.readings:
        return "How long it lasts is told once something was minted."
    return format_html(
        "Judged by the last {}, which minted {} for {}, rent included, since {}.",
        "transaction" if cost.transactions == 1 else f"{cost.transactions:,} transactions",
        show.readings(cost.readings),
        show.sol(cost.lamports),
        show.time(cost.since),
    )


# ------------------------------------------------------------------ the workers


def _cluster(cluster: ClusterHealth) -> list[Any]:
    state = (
        show.badge("succeeded", "works")
        if cluster.lives
        else format_html("{} since {}", show.badge("failed", "no sign"), show.time(cluster.seen_at))
    )
    running = show.duration(cluster.seen_at - cluster.started_at)
    return [cluster.name, state, f"{cluster.workers:,}", running]


def _depth(queue: QueueHealth) -> str:
    if queue.depth is None:
        return f"does not answer: {queue.trouble}"
    return f"{queue.depth:,} task{'' if queue.depth == 1 else 's'}"


def _oldest(queue: QueueHealth) -> SafeString | str:
    if queue.oldest_at is None:
        return "" if queue.depth is None else "none waits"
    age = show.duration(timezone.now() - queue.oldest_at)
    return format_html("waits {}, since {}", age, show.time(queue.oldest_at))
