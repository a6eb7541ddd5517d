"""What one process was told of the chain, for all of them: kept in PostgreSQL for a while.

Never more than what the caller would have asked: who must have a fresh answer (the state of mint,
payer and wallets; a proof of death; which cluster a node is on) asks for it and does not look here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models.functions import Now

from minting.models import ChainAnswer, Question
from minting.service.chain.session import Session

FORGOTTEN = timedelta(days=1)
"""After which what nobody believes any more is deleted: of other chains, other nodes."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What was told, and for how long it is believed."""

    question: Question
    value: Any
    """As JSON holds it."""
    seconds: float
    about: str = ""


@dataclass(frozen=True, slots=True)
class Answers:
    """What is believed of one chain as these nodes tell it."""

    genesis_hash: str
    nodes: str
    known: dict[tuple[str, str], Any]

    def get(self, question: Question, about: str = "") -> Any:
        """What was told, or ``None``."""
        return self.known.get((question, about))


def recall(session: Session) -> Answers:
    """All that is believed now, in one statement.

    Raises:
        SolanaError: The nodes were never asked which cluster they are on, and none answers.
    """
    genesis_hash, nodes = _of(session)
    rows = ChainAnswer.objects.filter(
        genesis_hash=genesis_hash, nodes=nodes, believed_until__gt=Now()
    )
    known = {
        (question, about): answer
        for question, about, answer in rows.values_list("question", "about", "answer")
    }
    return Answers(genesis_hash, nodes, known)


def keep(session: Session, *answers: Answer) -> None:
    """Writes down what was just told; of two processes at once the later one stays."""
    if not answers:
        return
    genesis_hash, nodes = _of(session)
    ChainAnswer.objects.filter(believed_until__lt=Now() - FORGOTTEN).delete()
    ChainAnswer.objects.bulk_create(
        # In one order, so that two processes never wait for each other.
        [
            ChainAnswer(
                genesis_hash=genesis_hash,
                nodes=nodes,
                question=each.question,
                about=each.about,
                answer=each.value,
                told_at=Now(),
                believed_until=Now() + timedelta(seconds=each.seconds),
            )
            for each in sorted(answers, key=lambda each: (each.question, each.about))
        ],
        update_conflicts=True,
        unique_fields=["genesis_hash", "nodes", "question", "about"],
        update_fields=["answer", "told_at", "believed_until"],
    )


def forget(session: Session, *questions: Question) -> None:
    """Whoever needs them next asks anew, whichever process that is."""
    genesis_hash, nodes = _of(session)
    ChainAnswer.objects.filter(
        genesis_hash=genesis_hash, nodes=nodes, question__in=questions
    ).delete()


def _of(session: Session) -> tuple[str, str]:
    """Which chain, and who tells of it. Nobody is asked who told his cluster before."""
    genesis_hash = session.run(session.cluster.genesis_hash())
    return genesis_hash, hashlib.sha256(" ".join(session.config.rpc_urls).encode()).hexdigest()
