"""A request that dies, stops or is cut off at one point: ``python -m tests.crash.caller``.

    python -m tests.crash.caller INDEX REQUEST

``INDEX`` is the point's place in ``KEYED_POINTS``, ``REQUEST`` what ``APIClient.post`` takes, as
JSON. The request is served inside this process, on the database and chain of the test; its answer,
if it comes to one, is one line of JSON on stdout.
"""

from __future__ import annotations

import json
import os
import sys

import django

from tests.crash.points import Deed, Point, When
from tests.crash.worker import Trap

_RUN = "minting.api.mint.request_batch"
_OPEN = "minting.journal.open_batch"
_KEEP = "minting.journal.keep_batch"
_KEEP_ANSWER = "minting.journal.keep_answer"
_LET_GO = "minting.service.requests.repeats._let_go"

KEYED_POINTS = (
    Point(1, "alone, nothing done", _RUN),
    Point(2, "the chain asked, readings locked", _OPEN),
    Point(3, "the batch written", _KEEP),
    Point(4, "batch and key written", _KEEP, When.COMMIT),
    Point(5, "both committed", _KEEP, When.COMMITTED),
    Point(6, "done, still alone", _LET_GO),
    Point(7, "the lock let go", _LET_GO, When.AFTER),
    Point(8, "answering", "minting.api.mint.queued"),
    Point(9, "waiting for the batch", "minting.api.preferences._read"),
    Point(4, "batch and key written", _KEEP, When.COMMIT, Deed.LOSE),
    Point(5, "both committed", _KEEP, When.COMMITTED, Deed.LOSE),
    Point(1, "alone, nothing done", _RUN, When.BEFORE, Deed.STOP),
    Point(3, "the readings written", _KEEP_ANSWER),
    Point(4, "readings and key written", _KEEP_ANSWER, When.COMMIT),
    Point(5, "both committed", _KEEP_ANSWER, When.COMMITTED),
)
"""Of a request with a key, in the order in which it gets there; 5 is where it has its effect."""

EFFECT = 5


def main() -> None:
    point, wanted = KEYED_POINTS[int(sys.argv[1])], json.loads(sys.argv[2])
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    from rest_framework.test import APIClient

    client = APIClient(raise_request_exception=False)
    Trap(point).set()
    answer = client.post(wanted["path"], wanted["body"], headers=wanted["headers"])
    sys.stdout.write(json.dumps({"status": answer.status_code, "body": answer.json()}) + "\n")


if __name__ == "__main__":
    main()
