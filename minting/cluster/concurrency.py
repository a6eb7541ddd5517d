"""Helpers for questions that take several calls."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


async def together(questions: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Asks all at once; answers in the order of the questions.

    Raises what the first failing question raised, after the others were cancelled: none goes on
    in the background on a client that is about to be closed.
    """
    tasks = [asyncio.ensure_future(question) for question in questions]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def pages(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Cuts ``items`` into runs of at most ``size``."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
