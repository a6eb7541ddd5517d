"""Errors told to a Sentry or what speaks its protocol, if ``SENTRY_DSN`` is set; else nothing.

What leaves is where an error happened and of which type: no bodies, headers, cookies, query
strings or variables, no breadcrumbs, no people. Texts that do leave are searched for our secrets.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

HIDDEN = "[hidden]"

_KEYPAIR = re.compile(r"\[\s*(?:\d{1,3}\s*,\s*){31,}\d{1,3}\s*\]")
"""A key as the Solana CLI writes it: 64 numbers, or the half of them."""
_DETAIL = re.compile(r"DETAIL:.*", re.DOTALL)
"""What PostgreSQL quotes of rows: names, wallets."""
_URL = re.compile(
    r"(\b[a-z][a-z0-9+.-]*://)(?:[^\s/@'\"]*@)?([^\s/?#'\"<>)]+)[^\s'\"<>)]*", re.IGNORECASE
)
"""Providers put their keys into paths and queries, people put passwords before the host."""

TOLD = (
    "request_id",
    "task",
    "task_id",
    "batch_id",
    "slice_id",
    "signature",
    "node",
    "code",
    "kind",
    "reason",
)
"""What of a line's facts is told; a new fact is not told before it is named here."""

SHORTEST_SECRET = 6
"""A shorter one is hidden nowhere, for it would hide half of what is told."""


class Scrubber:
    """Takes everything from an event that is not about the code."""

    def __init__(self, secrets: Collection[str]) -> None:
        known = sorted({each for each in secrets if len(each) >= SHORTEST_SECRET}, key=len)
        # The longest first: one secret may be a part of another.
        self._secrets = tuple(reversed(known))

    def __call__(self, event: dict[str, Any], hint: Mapping[str, Any]) -> dict[str, Any]:
        """``before_send`` of the SDK."""
        record = hint.get("log_record")
        if record is not None and isinstance(record.msg, dict):
            # structlog's: grouped by the event's name, with the ids beside it.
            facts = record.msg
            event["logentry"] = {"message": str(facts.get("event"))}
            event["extra"] = {name: str(facts[name]) for name in TOLD if name in facts}
            if "by" in facts:  # a person did it, and the reason is in a person's words
                event["extra"].pop("reason", None)
        else:
            event.pop("extra", None)
        request = event.pop("request", None)
        if request:
            event["request"] = {
                "method": request.get("method"),
                "url": str(request.get("url", "")).partition("?")[0],
            }
        event.pop("breadcrumbs", None)
        user = event.pop("user", None)
        if user and user.get("id"):
            event["user"] = {"id": user["id"]}
        # The address that all is sent to is the SDK's own, and in no event.
        return {name: self._clean(value) for name, value in event.items()}

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {name: self._clean(each) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [self._clean(each) for each in value]
        return value

    def text(self, value: str) -> str:
        """Without secrets, keys, rows and the paths of URLs."""
        for secret in self._secrets:
            value = value.replace(secret, HIDDEN)
        value = _KEYPAIR.sub(HIDDEN, _DETAIL.sub(f"DETAIL: {HIDDEN}", value))
        return _URL.sub(r"\1\2", value)


def secrets_of(urls: Collection[str]) -> Iterator[str]:
    """Whatever these have besides their hosts: providers' keys, passwords."""
    for url in urls:
        parts = urlsplit(url)
        yield from (each for each in (parts.username, parts.password, parts.query) if each)
        yield from (each for each in parts.path.split("/") if len(each) >= 16)


def configure(
    dsn: str, *, environment: str, release: str, secrets: Collection[str], **more: Any
) -> None:
    """Starts telling; the SDK is imported here and nowhere else.

    Args:
        dsn: Where to, with the public key.
        environment: ``SENTRY_ENVIRONMENT`` wins over it.
        release: What runs here.
        secrets: What is hidden wherever it stands.
        more: Options of the SDK; for tests.
    """
    sdk = import_module("sentry_sdk")
    django = import_module("sentry_sdk.integrations.django")
    logs = import_module("sentry_sdk.integrations.logging")
    # A request's error is told once, by Django's integration.
    logs.ignore_logger("django_structlog.middlewares.request")
    logs.ignore_logger("django.request")
    # A failed task's error is told by ``TaskReporter``; whom a stranger calls us is no error.
    logs.ignore_logger("django-q")
    logs.ignore_logger("django.security.DisallowedHost")
    sdk.init(
        dsn=dsn,
        environment=environment,
        release=release,
        send_default_pii=False,
        include_local_variables=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        auto_enabling_integrations=False,
        integrations=[django.DjangoIntegration(transaction_style="url"), logs.LoggingIntegration()],
        before_send=Scrubber(secrets),
        **more,
    )


def report_tasks() -> None:
    """Puts a reporter where django-q2 looks for one; it takes only what packages declare."""
    worker: Any = import_module("django_q.worker")
    worker.error_reporter = TaskReporter()


class TaskReporter:
    """What django-q2 calls where a task failed: it catches the error, so nobody else sees it."""

    def report(self) -> None:
        """The error that is being handled."""
        import_module("sentry_sdk").capture_exception()
