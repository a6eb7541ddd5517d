"""What every test may use: a local chain, child processes, and no way out of this machine."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import hypothesis
import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.contenttypes.management import create_contenttypes
from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models.signals import post_migrate
from pytest_django import Settings

from gridtoken.embedded.localnet import Localnet
from minting.access import migrations
from minting.access.groups import grant

hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")

SLOT_MS = 50
"""Of the session's chain: finality, some 32 slots, in under two seconds."""


SLOW = ("scenarios", "crash", "browser", "bench", "gridtoken", "vault")
"""Folders whose files take minutes: begun first, or one of them is what all wait for at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The slow ones first; among them, and after them, in the order drawn."""
    here = len(Path(__file__).parent.parts)
    items.sort(key=lambda item: item.path.parts[here] not in SLOW)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Under `make coverage` it is the tracer that would be timed, not the code."""
    if item.get_closest_marker("speed") and sys.gettrace() is not None:
        pytest.skip("timed without a tracer only: `make test`")


class OutsideSocketError(AssertionError):
    """A test reached for another machine."""


def pytest_configure() -> None:
    """Refuses outside sockets from the first import of a test on."""
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # whitenoise warns of one that is not
    genuine = socket.socket.connect, socket.socket.connect_ex

    def guarded(method: Any) -> Any:
        def connect(self: socket.socket, address: Any, /) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_here(address[0]):
                raise OutsideSocketError(f"a test may not connect to {address!r}")
            return method(self, address)

        return connect

    socket.socket.connect, socket.socket.connect_ex = map(guarded, genuine)  # type: ignore[method-assign]


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name: resolving it would be the first word outside


@pytest.fixture(scope="session")
def localnet() -> Iterator[Localnet]:
    """A chain of this session's own, with short slots."""
    with Localnet(slot_ms=SLOT_MS) as net:
        yield net


@pytest.fixture
def chain(localnet: Localnet, settings: Settings) -> Localnet:
    """The session's chain, and the settings pointing at it."""
    settings.SOLANA_RPC_URL = localnet.url
    settings.SOLANA_RPC_URLS = [localnet.url]
    return localnet


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> None:
    """What follows a migration follows no flush: `tests.database` keeps what it wrote."""
    if settings.DATABASES[DEFAULT_DB_ALIAS]["ENGINE"] == "tests.database":
        post_migrate.disconnect(create_contenttypes)
        post_migrate.disconnect(dispatch_uid="django.contrib.auth.management.create_permissions")


@pytest.fixture
def groups(db: None) -> None:
    """The ready-made groups; a test that empties the tables takes them away for the next."""
    for found in sorted(iter_modules(migrations.__path__), key=lambda module: module.name):
        made = import_module(f"{migrations.__name__}.{found.name}")
        if hasattr(made, "GROUPS"):
            grant(apps, DEFAULT_DB_ALIAS, made.GROUPS)


@pytest.fixture
def child_environment(transactional_db: None) -> dict[str, str]:
    """For a ``manage.py`` that a test starts: the test's own database, not the empty one."""
    database = connection.settings_dict
    parts = {"host": database["HOST"], "port": database["PORT"], "user": database["USER"]}
    query = "&".join(f"{name}={value}" for name, value in parts.items() if value)
    password = {"PGPASSWORD": database["PASSWORD"]} if database["PASSWORD"] else {}
    return {**os.environ, **password, "DATABASE_URL": f"postgresql:///{database['NAME']}?{query}"}
