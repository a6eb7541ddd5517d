"""What the nodes said of the chain itself, believed for a while by every process."""

from __future__ import annotations

from enum import StrEnum

from django.db import models

from minting.models.fields import status_field


class Question(StrEnum):
    """What was asked, or seen."""

    PRICES = "prices"
    """Of a signature, of accounts of so many bytes; and how high the chain was."""
    BID = "bid"
    """What others bid lately for the same accounts."""
    V1 = "v1"
    """Whether transactions of version 1 are taken."""
    V1_REFUSED = "v1_refused"
    """That a node refused one, whatever others say."""
    PACE = "pace"
    """How long after its sending a transaction usually lands."""


class ChainAnswer(models.Model):
    """One answer, and until when it is believed; by PostgreSQL's clock.

    A row and not a process's memory, so that web and workers do not each ask. The table is
    unlogged: after a crash of PostgreSQL the nodes are asked again.
    """

    id = models.BigAutoField(primary_key=True)
    genesis_hash = models.CharField(max_length=44, help_text="Which chain.")
    nodes = models.CharField(
        max_length=64, help_text="Who was asked: SHA-256 of the URLs, which may hold a key."
    )
    question = status_field(Question)
    about = models.CharField(max_length=100, blank=True, help_text="A size, or addresses.")
    answer = models.JSONField()
    told_at = models.DateTimeField()
    believed_until = models.DateTimeField()

    class Meta:
        verbose_name = "answer of the chain"
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["genesis_hash", "nodes", "question", "about"], name="one_answer_each"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.question} {self.about}".strip()
