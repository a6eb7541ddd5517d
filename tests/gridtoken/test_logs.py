"""One event, one line, on stderr; JSON unless a person looks."""

from __future__ import annotations

import json

LOG = "import logging, structlog; {}"


def told(manage, statement: str, **environment: str) -> list[str]:
    done = manage("shell", "--no-imports", "-c", LOG.format(statement), **environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    return str(done.stderr).splitlines()


def test_our_events_and_libraries_are_json_alike(manage):
    ours, theirs, bad = told(
        manage,
        "structlog.get_logger('ours').info('sent', slot=7);"
        "logging.getLogger('theirs').warning('slow %s', 'node');"
        "logging.error('bad', exc_info=ValueError('x'))",
    )
    event = json.loads(ours)
    assert (event["event"], event["slot"], event["level"]) == ("sent", 7, "info")
    event = json.loads(theirs)
    assert (event["event"], event["logger"], event["level"]) == ("slow node", "theirs", "warning")
    # A traceback stays in its line.
    assert "ValueError: x" in json.loads(bad)["exception"]


def test_debugging_is_for_people(manage):
    (line,) = told(manage, "structlog.get_logger().info('sent', slot=7)", DJANGO_DEBUG="true")
    assert "sent" in line
    assert "slot=7" in line
