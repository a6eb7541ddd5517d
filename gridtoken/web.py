"""What only processes that serve requests do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings

FOR_MACHINES = ("/api/", "/v1/")
"""How the addresses of the API and of the doors begin."""

POOL = {"min_size": 1, "max_size": 16, "timeout": 5, "reconnect_timeout": 5}
"""Of each process: as many connections as it has threads (``gunicorn.conf.py``).

Seconds that a request waits for a database that restarts, before it is told to come again; and for
which a lost connection is tried anew. psycopg tries ever more seldom, so an attempt that went on
for minutes would leave the web away for minutes after the database is back: whoever asks next
begins another.
"""


Application = Callable[[dict[str, Any], Any], Iterable[bytes]]
"""As WSGI has it."""


def take_chunks(application: Application) -> Application:
    """Lets bodies be read that machines send in chunks.

    Django reads as much as ``Content-Length`` says; without one, as HTTP clients send what they
    stream, every body would look empty. Here it says what a body may have, and one byte more, by
    which one is seen to be too large; the stream itself knows where it ends.
    """

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        chunked = "HTTP_TRANSFER_ENCODING" in environ and environ.get("wsgi.input_terminated")
        if chunked and environ.get("PATH_INFO", "").startswith(FOR_MACHINES):
            environ["CONTENT_LENGTH"] = str(settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)
        return application(environ, start_response)

    return answer


def pool_connections() -> None:
    """Lets this process's threads share connections; called before the first is made.

    Not a setting, since ``qcluster`` forks: one pooled socket in several processes mixes up their
    answers. A pool keeps connections itself, so that Django must not.
    """
    database = settings.DATABASES["default"]
    database["CONN_MAX_AGE"] = 0
    database["OPTIONS"]["pool"] = POOL
