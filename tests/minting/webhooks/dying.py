"""A courier that kills itself at one point: ``python -m tests.minting.webhooks.dying POINT``."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import django
from django.db.backends.base.base import BaseDatabaseWrapper

POINTS = (
    "handing out, before the commit",
    "attempt written, before the wire",
    "sent, before it is recorded",
    "recorded",
)


def die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def after(module: Any, name: str) -> None:
    """Kills as soon as ``name`` has done what it does."""
    step = getattr(module, name)

    def fatal(*args: Any) -> None:
        step(*args)
        die()

    setattr(module, name, fatal)


def at_commit(module: Any, name: str) -> None:
    """Kills where the transaction that ``name`` opens is about to be committed."""
    step = getattr(module, name)

    def armed(*args: Any) -> Any:
        wrapper: Any = BaseDatabaseWrapper
        wrapper._commit = die
        return step(*args)

    setattr(module, name, armed)


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    from minting.webhooks import courier, ledger, outbox
    from minting.webhooks.post import Post

    match POINTS[int(sys.argv[1])]:
        case "handing out, before the commit":
            at_commit(outbox, "_hand_out_some")
        case "attempt written, before the wire":
            Post.send = die  # type: ignore[assignment, method-assign]
        case "sent, before it is recorded":
            ledger.record = die
        case "recorded":
            after(ledger, "record")
    courier.deliver(busy=lambda: False)


if __name__ == "__main__":
    main()
