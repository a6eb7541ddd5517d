"""Logs go to stderr, one event a line: stdout carries only the answers of commands."""

from __future__ import annotations

import logging
import logging.config
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from gridtoken import following
from gridtoken.away import is_fault

# Applied to our own events and to those of libraries that know only the standard library.
_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,  # of the request, or of the queue's task
    following.name_the_request,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def config(*, debug: bool, level: str = "INFO", form: str = "auto") -> dict[str, Any]:
    """For ``LOGGING``: coloured lines for a person at a terminal, JSON for everything else.

    Args:
        debug: Whether somebody develops here.
        level: The least that is told of ours; libraries' own details are never told.
        form: ``json`` or ``text``; ``auto`` decides as above.
    """
    person = (debug or sys.stderr.isatty()) if form == "auto" else form == "text"
    last: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
        if person
        else [
            structlog.processors.format_exc_info,
            _what_first,
            structlog.processors.JSONRenderer(),
        ]
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": _SHARED,
                "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
            }
        },
        "filters": {
            "fault": {"()": lambda: is_fault},
            "stranger": {"()": lambda: _without_alarm},
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["stderr"], "level": _at_least("INFO", level)},
        "loggers": {
            **{room: {"level": level} for room in ("gridtoken", "minting", "readings")},
            # Django's own console and mail handlers make way for the root's.
            "django": {"handlers": [], "level": _at_least("INFO", level), "propagate": True},
            "django.server": {
                "handlers": [],
                "level": _at_least("WARNING", level),
                "propagate": True,
            },
            # Told by django-structlog, with the request's id.
            "django.request": {"level": "ERROR", "filters": ["fault"]},
            "django.security.DisallowedHost": {"filters": ["stranger"]},
            "httpx": {"level": "WARNING"},
            "httpcore": {"level": "WARNING"},
        },
    }


def _without_alarm(record: logging.LogRecord) -> bool:
    """Whoever scans the net names hosts that are none of ours, all day: a line, and no fault."""
    record.levelno, record.levelname, record.exc_info = logging.WARNING, "WARNING", None
    return True


def _what_first(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """When, how grave and what stand at the beginning of a line, for whoever scrolls."""
    first = {name: event.pop(name) for name in ("timestamp", "level", "event") if name in event}
    return {**first, **event}


def _at_least(level: str, wanted: str) -> str:
    """The graver of two levels."""
    numbers = logging.getLevelNamesMapping()
    return max(level, wanted, key=numbers.__getitem__)


def configure(logging_config: dict[str, Any]) -> None:
    """Sets up both the standard library's logging and structlog."""
    logging.config.dictConfig(logging_config)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
