"""What the queue calls: ids in, one service call, a summary out.

A task is a nudge. What is to be done lives in our tables, so a task may be lost, repeated, or run
twice at once.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any
from uuid import UUID

import structlog

from gridtoken import following
from minting.access import rates, trail
from minting.engine.errors import MintNotFinal
from minting.monitoring.digest import sending
from minting.service.audit import reconcile as reconciling
from minting.service.chain.session import open_session
from minting.service.describe import describe_reconciliation
from minting.service.drive import tending
from minting.service.drive.doubt import collect_proof
from minting.service.drive.recover import recover
from minting.service.drive.submit import drive_waiting
from minting.service.drive.upkeep import worker_name
from minting.service.polling.meter_polling_service import MeterPollingService
from minting.service.requests import approving, errands, repeats, retry, selections
from minting.service.requests.works import WORKS
from minting.service.watch import chain_health
from minting.webhooks import courier, upkeep

log = structlog.get_logger(__name__)


def look() -> dict[str, Any]:
    """Drives slices that nobody drives, as many at once as ``BLOCKCHAIN_CONCURRENT_BATCHES``."""
    following.forget_request()
    with open_session() as session:
        report = drive_waiting(session, worker=worker_name(os.getpid()))
    upkeep.call_if_due()
    return asdict(report)


def sweep() -> dict[str, Any]:
    """Every minute: one recovery pass, and a nudge if slices wait."""
    with open_session() as session:
        return asdict(recover(session))


def tend_signer() -> str:
    """Every minute: a remote signer's token is kept alive."""
    with open_session() as session:
        return tending.tend_signer(session)


def prove(transaction_id: str) -> bool:
    """Recovery for one transaction that a person asked about."""
    with open_session() as session:
        return collect_proof(session, UUID(transaction_id))


def run_errand(errand_id: str) -> str:
    """What a person who looks at a page waits for: a preview, a batch, a release."""
    return errands.run(UUID(errand_id), WORKS, worker=worker_name(os.getpid()))


def poll() -> dict[str, Any]:
    """Every ``TOKENIZATION_POLLING_INTERVAL_SECS``: batches of what is pending."""
    return asdict(MeterPollingService().poll())


def retry_due() -> dict[str, Any]:
    """Every minute: new batches of the failures whose retry is due."""
    return asdict(retry.retry_due())


def look_at_chain() -> bool:
    """Every minute: nodes and the account that pays, so that figures know them unwatched."""
    return chain_health.look().answers


def reconcile() -> dict[str, Any]:
    """Every ten minutes: the chain against the journal, what is new of both."""
    return _reconcile(thorough=False)


def reconcile_all() -> dict[str, Any]:
    """Once a day: the same, and all of the journal against its results."""
    return _reconcile(thorough=True)


def _reconcile(*, thorough: bool) -> dict[str, Any]:
    with open_session() as session:
        try:
            return describe_reconciliation(reconciling.reconcile(session, thorough=thorough))
        except MintNotFinal as early:
            # Some seconds after the mint was made: the next run by the clock compares.
            log.info("nothing_to_compare", reason=str(early))
            return {"nothing_to_compare": str(early)}


def deliver() -> dict[str, Any]:
    """Tells other systems what happened: a short stint of one courier."""
    following.forget_request()
    report = courier.deliver()
    upkeep.call_if_due()
    return asdict(report)


def tidy_webhooks() -> dict[str, Any]:
    """Every hour: deliveries that were tried long enough, and what is too old to be kept."""
    return asdict(upkeep.tidy())


def send_digest() -> dict[str, Any]:
    """Every ten minutes: today's e-mail to staff, once, when its hour has come."""
    return asdict(sending.send_if_due())


def expire_approvals() -> int:
    """Every minute: batches that nobody decided about in time end."""
    return approving.expire()


def forget_keys() -> int:
    """Every hour: idempotency keys that were kept long enough are free again."""
    return repeats.forget_old()


def forget_selections() -> int:
    """Every hour: selections that nobody confirmed, and the readings of old ones."""
    return selections.forget_old()


def forget_calls() -> dict[str, int]:
    """Every hour: refused API calls that were kept long enough, and allowances that are whole."""
    return {"calls": trail.forget_refused(), "allowances": rates.forget_whole()}
