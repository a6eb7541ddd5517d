"""Schemathesis over the whole description: no 5xx, every answer as it is described.

Bounded and drawn from a fixed seed, so that a run is the same everywhere; ``make fuzz`` asks for
more (``FUZZ_EXAMPLES``, any seed).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, given, seed, settings
from rest_framework.test import APIClient
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from minting.access.scopes import Scope
from tests.factories.readings import household
from tests.minting.api.history import queued_batch

pytestmark = pytest.mark.django_db

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "4"))
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
    checks.ignored_auth,
    checks.unsupported_method,
]


@pytest.fixture
def application(db: None) -> Iterator[WSGIHandler]:
    """The whole application, middleware too, on the connection of this test."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield WSGIHandler()
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.timeout(1_800 if EXAMPLES > 10 else 180)
def test_every_answer_is_as_described(
    machine: Callable[..., APIClient], application: WSGIHandler
) -> None:
    """Ids in addresses are of rows that are there in every other round, and drawn in the others."""
    client = machine(*Scope)
    headers = {"Authorization": vars(client)["_credentials"]["HTTP_AUTHORIZATION"]}
    house = household()
    batch = queued_batch([house.reading(), house.reading()])
    there = {
        "batch_id": str(batch.id),
        "reading_id": str(house.reading().id),
        "serial": house.meter.serial,
    }
    description = schemathesis.openapi.from_wsgi("/api/schema/?format=json", application)
    asked = 0

    for found in description.get_all_operations():
        operation = found.ok()
        names = {each.name for each in operation.path_parameters}
        rows = there | {
            "row_id": str((house.owner if "owner" in operation.path else house.meter).pk)
        }
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            known = {name: rows[name] for name in names if name in rows}
            drawn: Any = {"path_parameters": known} if known and mode.is_positive else {}

            @seed(20261124)
            @settings(
                max_examples=EXAMPLES,
                database=None,
                deadline=None,
                phases=[Phase.explicit, Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode, **drawn))
            def ask(case: Any) -> None:
                nonlocal asked
                asked += 1
                case.call_and_validate(app=application, headers=headers, checks=CHECKS)

            ask()
    assert asked >= 2 * EXAMPLES
