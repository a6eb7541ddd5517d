"""A worker beside the requests that wait for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import Event, Thread

import pytest
from django.db import connection


@pytest.fixture
def working(drain: Callable[[], None]) -> Callable[[], AbstractContextManager[None]]:
    """As ``qcluster`` would, while the block lasts."""

    @contextmanager
    def beside() -> Iterator[None]:
        over = Event()

        def work() -> None:
            try:
                while not over.wait(0.05):
                    drain()
            finally:
                connection.close()

        worker = Thread(target=work)
        worker.start()
        try:
            yield
        finally:
            over.set()
            worker.join()

    return beside
