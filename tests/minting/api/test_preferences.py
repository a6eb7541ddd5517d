"""How long a client says it waits (RFC 7240)."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from minting.api.preferences import wanted_wait


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("wait=5", 5),
        ("wait=0", 0),
        ('wait="7"', 7),
        ("WAIT = 9", 9),
        ("respond-async, wait=10", 10),
        ("wait=11; foo=bar, handling=lenient", 11),
        ("wait=3, wait=5", 3),
        ("wait=99999", 30),
        ("wait=99999999999", None),
        ("wait=1.5", None),
        ("wait", None),
        ("nowait=4", None),
    ],
)
def test_prefer(header: str | None, seconds: int | None) -> None:
    extra: dict[str, Any] = {} if header is None else {"HTTP_PREFER": header}
    request = Request(APIRequestFactory().get("/", **extra))

    assert wanted_wait(request) == seconds
