"""``/healthz`` and ``/readyz``: for load balancers and people, without authentication."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait

import structlog
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django_q.brokers import get_broker

from minting.service.chain.session import open_session
from minting.service.watch.keeping import Kept

log = structlog.get_logger(__name__)

PATIENCE = 4.0
"""Seconds for all that is asked, together; an answer is promised within five."""

NODE_PATIENCE = 3.0
"""Seconds for the nodes, so that they end by themselves."""


@require_safe
@never_cache
def alive(_request: HttpRequest) -> JsonResponse:
    """This process answers."""
    return JsonResponse({"status": "ok"})


KEPT = 1.0
"""Seconds for which an answer is given again: anybody may ask, and nodes count our questions."""


@require_safe
@never_cache
def ready(_request: HttpRequest) -> JsonResponse:
    """Database (all migrations applied), broker and a node answer; else 503 with who does not."""
    silent = _silent.get()
    return JsonResponse(
        {"status": "unavailable" if silent else "ok", "unavailable": silent},
        status=503 if silent else 200,
    )


def _ask() -> list[str]:
    """Who does not answer.

    Each is asked in a thread of its own, so that what hangs is left behind and delays nobody.
    """
    executor = ThreadPoolExecutor(max_workers=len(CHECKS), thread_name_prefix="readyz")
    asked = {name: executor.submit(check) for name, check in CHECKS.items()}
    executor.shutdown(wait=False)
    wait(asked.values(), timeout=PATIENCE)
    return [name for name, answer in asked.items() if not _is_well(name, answer)]


_silent = Kept(_ask, least=KEPT, most=KEPT)


def _is_well(name: str, answer: Future[None]) -> bool:
    if not answer.done():
        log.warning("not_ready", what=name, reason="no answer in time")
        return False
    if (failure := answer.exception()) is not None:
        log.warning("not_ready", what=name, reason=f"{type(failure).__name__}: {failure}")
        return False
    return True


def _ask_database() -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    finally:
        connection.close()


def _ask_broker() -> None:
    try:
        get_broker().queue_size()
    finally:
        connection.close()


def _ask_nodes() -> None:
    with open_session() as session:
        told = session.run(asyncio.wait_for(session.cluster.health(), NODE_PATIENCE))
    if None not in told.values():
        reasons = "; ".join(f"{node}: {reason}" for node, reason in told.items())
        raise ConnectionError(f"no node is well: {reasons}")


def _ask_migrations() -> None:
    """Newer code than tables answers with errors; once they are there, they stay."""
    global _migrated  # noqa: PLW0603 — a fact about the process
    if _migrated:
        return
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    finally:
        connection.close()
    if missing:
        raise RuntimeError(f"{len(missing)} not applied, the first {missing[0][0]}")
    _migrated = True


_migrated = False

CHECKS: Mapping[str, Callable[[], None]] = {
    "database": _ask_database,
    "migrations": _ask_migrations,
    "broker": _ask_broker,
    "node": _ask_nodes,
}

urlpatterns = [
    path("healthz", alive, name="healthz"),
    path("readyz", ready, name="readyz"),
]
