"""How gunicorn serves us: ``gunicorn`` in the checkout needs no argument but ``--bind``."""

import os

from gunicorn.config import Config
from gunicorn.glogging import Logger

from gridtoken.web import POOL
from minting.monitoring import publishing
from minting.service.chain.session import keep_sessions

wsgi_app = "gridtoken.wsgi:application"
bind = os.environ.get("BIND", "127.0.0.1:8000")
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = POOL["max_size"]
# A wrong environment stops the master with its one line, instead of every worker for ever.
preload_app = True
# Of a process that hangs as a whole. With threads no request is ended by it, however long it takes.
timeout = 60
graceful_timeout = 20
max_requests = 10_000
max_requests_jitter = 1_000
# Whose X-Forwarded-* count is DJANGO_TRUSTED_PROXY's to say, and is said in gridtoken.proxy.
forwarded_allow_ips = ""
control_socket_disable = True  # a door in the home folder that nobody here uses
# Requests are logged once, by django-structlog.
accesslog = None


def post_fork(server: object, worker: object) -> None:  # noqa: ARG001 — gunicorn counts them
    """Each worker process keeps connections of its own to the nodes, and tells how it goes."""
    keep_sessions()
    publishing.begin()


class logger_class(Logger):  # noqa: N801 — gunicorn's name for this setting
    """Gunicorn's own words go where ours go, in the same form."""

    def setup(self, cfg: Config) -> None:
        """Called before the application, which configures the root, is loaded."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
