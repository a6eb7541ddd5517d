"""A poll that kills itself at one point: ``python -m tests.crash.poller INDEX``.

``INDEX`` is the point's place in ``POLL_POINTS``. The poll runs inside this process, on the
database and chain of the test.
"""

from __future__ import annotations

import os
import sys

import django

from tests.crash.points import Point, When
from tests.crash.worker import Trap

_POLLING = "minting.service.polling"
_OPEN = "minting.journal.open_batch"
_END = "minting.journal.hold_unpaused"

POLL_POINTS = (
    Point(1, "told that it began", f"{_POLLING}.book.begin", When.AFTER),
    Point(2, "planned", "minting.journal.hold_waiting"),
    Point(3, "readings locked", _OPEN),
    Point(4, "batch written", _END, When.COMMIT),
    Point(5, "batch committed", _END, When.COMMITTED),
    Point(5, "before the next one", f"{_POLLING}.book.Made.add", When.AFTER),
    Point(6, "done, still alone", f"{_POLLING}.solitude._let_go"),
)
"""In the order in which a poll gets there; from 5 on its (first) batch is there."""

EFFECT = 5


def main() -> None:
    point = POLL_POINTS[int(sys.argv[1])]
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    from minting import tasks
    from minting.service.polling import meter_polling_service

    meter_polling_service.READINGS_A_BATCH = 2  # two owners: two batches
    Trap(point).set()
    tasks.poll()


if __name__ == "__main__":
    main()
