"""What only processes that serve requests do."""

from __future__ import annotations

from django.conf import settings

POOL = {"min_size": 1, "max_size": 16, "timeout": 5, "reconnect_timeout": 5}
"""Of each process: as many connections as it has threads (``gunicorn.conf.py``).

Seconds that a request waits for a database that restarts, before it is told to come again; and for
which a lost connection is tried anew. psycopg tries ever more seldom, so an attempt that went on
for minutes would leave the web away for minutes after the database is back: whoever asks next
begins another.
"""


def pool_connections() -> None:
    """Lets this process's threads share connections; called before the first is made.

    Not a setting, since ``qcluster`` forks: one pooled socket in several processes mixes up their
    answers. A pool keeps connections itself, so that Django must not.
    """
    database = settings.DATABASES["default"]
    database["CONN_MAX_AGE"] = 0
    database["OPTIONS"]["pool"] = POOL
