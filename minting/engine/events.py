"""What other systems can be told, and where the telling of it is."""

from __future__ import annotations

from enum import StrEnum


class EventType(StrEnum):
    """What other systems can be told."""

    BATCH_FINISHED = "batch.finished"
    BATCH_REOPENED = "batch.reopened"
    READING_FAILED = "reading.failed"
    TRANSACTION_IN_DOUBT = "transaction.in_doubt"
    TRANSACTION_RESOLVED = "transaction.resolved"
    MINTING_STOPPED = "minting.stopped"
    MINTING_RESUMED = "minting.resumed"
    TEST = "webhook.test"
    """Asked for by a person, for one endpoint; nobody chooses it."""


class DeliveryState(StrEnum):
    """Where a delivery is."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class Outcome(StrEnum):
    """What became of one attempt."""

    SENDING = "sending"
    ACCEPTED = "accepted"
    """2xx."""
    REFUSED = "refused"
    """Any other status."""
    GONE = "gone"
    """410: never again."""
    TIMED_OUT = "timed_out"
    UNREACHABLE = "unreachable"
    """No connection, or one that broke."""
    FORBIDDEN = "forbidden"
    """The address is none that may be sent to."""
    INTERRUPTED = "interrupted"
    """Whoever sent it died; nobody knows what became of it."""
