"""A worker that kills, stops or cuts itself off at one point: ``python -m tests.crash.worker``.

    python -m tests.crash.worker INDEX look|sweep

``INDEX`` is the point's place in ``points.POINTS``. Says ``ready`` on stdout before it begins, and
exits 0 when its task ended, ``BROKEN`` when the database's connection broke under it.
"""

from __future__ import annotations

import inspect
import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import django
from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from tests.crash.points import POINTS, Deed, Point, When

BROKEN = 75


class Trap:
    """Waits at a point, once."""

    def __init__(self, point: Point) -> None:
        self._point = point
        self._sprung = False
        self._armed = False
        """Whether the next commit is the point's."""

    def set(self) -> None:
        """Wraps the point's function, and the commit that follows it."""
        owner, name = resolve(self._point.where)
        function = getattr(owner, name)
        wrap = self._around_coroutine if inspect.iscoroutinefunction(function) else self._around
        setattr(owner, name, wrap(function))
        if self._point.when in (When.COMMIT, When.COMMITTED):
            wrapper: Any = BaseDatabaseWrapper
            wrapper._commit = self._commit(wrapper._commit)

    def _around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **options: Any) -> Any:
            self._enter(args)
            answer = function(*args, **options)
            self._leave(args)
            return answer

        return wrapped

    def _around_coroutine(self, function: Callable[..., Any]) -> Callable[..., Any]:
        async def wrapped(*args: Any, **options: Any) -> Any:
            self._enter(args)
            answer = await function(*args, **options)
            self._leave(args)
            return answer

        return wrapped

    def _commit(self, commit: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(database: Any) -> Any:
            if not self._armed:
                return commit(database)
            self._armed = False
            if self._point.when is When.COMMITTED:
                commit(database)
            self._spring(database)
            return None

        return wrapped

    def _enter(self, args: tuple[Any, ...]) -> None:
        if self._point.when is When.BEFORE and self._counts(args):
            self._spring()

    def _leave(self, args: tuple[Any, ...]) -> None:
        if self._point.when is When.AFTER and self._counts(args):
            self._spring()
        elif self._point.when in (When.COMMIT, When.COMMITTED) and self._counts(args):
            self._armed = True

    def _counts(self, args: tuple[Any, ...]) -> bool:
        return not self._sprung and (self._point.only is None or self._point.only(*args))

    def _spring(self, database: Any = None) -> None:
        self._sprung = True
        if self._point.deed is Deed.LOSE:
            database.connection.close()
            raise OperationalError("the connection broke before the commit was answered")
        os.kill(os.getpid(), signal.SIGKILL if self._point.deed is Deed.KILL else signal.SIGSTOP)


def resolve(where: str) -> tuple[Any, str]:
    """The module or class that holds what a dotted name means, and its name there."""
    path, _, name = where.rpartition(".")
    try:
        return import_module(path), name
    except ModuleNotFoundError:
        module, _, owner = path.rpartition(".")
        return getattr(import_module(module), owner), name


def main() -> None:
    index, task = int(sys.argv[1]), sys.argv[2]
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    from minting import tasks

    Trap(POINTS[index]).set()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    try:
        getattr(tasks, task)()
    except OperationalError:
        sys.exit(BROKEN)


if __name__ == "__main__":
    main()
