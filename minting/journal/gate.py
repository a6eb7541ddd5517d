"""The gate's one row: which database it was checked for, and why it is closed."""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from django.db.models.functions import Coalesce, Now

from minting.journal.phase import atomic_phase
from minting.models import MintingGate

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Identity:
    """Which data PostgreSQL serves; empty where it does not tell us."""

    system_identifier: str = ""
    timeline: str = ""


@atomic_phase
def read_gate() -> MintingGate:
    """The gate; at first use it is unchecked."""
    gate = MintingGate.objects.first()
    if gate is None:
        MintingGate.objects.bulk_create([MintingGate()], ignore_conflicts=True)
        gate = MintingGate.objects.get()
    return gate


def gate_is_closed() -> bool:
    """Whether nothing may be signed; only a reconciliation changes that."""
    return MintingGate.objects.filter(closed_since__isnull=False).exists()


@atomic_phase
def uncheck_gate() -> None:
    """Lets it be checked before anything more is signed."""
    read_gate()
    MintingGate.objects.update(checked_at=None)


@atomic_phase
def close_gate(reason: str, identity: Identity) -> None:
    """It was checked: nothing is signed until a reconciliation opens it again."""
    pass_gate(identity)
    shut_gate(reason)


@atomic_phase
def shut_gate(reason: str) -> None:
    """The same without a check, of what was met otherwise."""
    read_gate()
    MintingGate.objects.update(closed_since=Coalesce("closed_since", Now()), reason=reason)
    log.error("gate_closed", reason=reason)


@atomic_phase
def pass_gate(identity: Identity) -> None:
    """Checked, and nothing found: a gate that was open stays so, a closed one stays closed."""
    read_gate()
    MintingGate.objects.update(
        checked_at=Now(),
        system_identifier=identity.system_identifier,
        timeline=identity.timeline,
    )


@atomic_phase
def open_gate(identity: Identity) -> bool:
    """Everything on chain is explained; returns whether it was closed."""
    pass_gate(identity)
    opened = MintingGate.objects.filter(closed_since__isnull=False).update(
        closed_since=None, reason=""
    )
    if opened:
        log.warning("gate_opened")
    return bool(opened)
