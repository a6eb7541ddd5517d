"""The API's description: clean, complete, and true of what is answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from django.test import Client
from rest_framework.test import APIClient

from minting.access.scopes import Scope
from minting.api.doors import urls as doors
from minting.api.urls import urlpatterns
from tests.factories.readings import MeterReadingFactory, household
from tests.minting.api.doors import clients
from tests.minting.api.history import queued_batch

pytestmark = pytest.mark.django_db


@pytest.fixture
def schema(client: Client) -> dict[str, Any]:
    response = client.get("/api/schema/")
    assert response.status_code == 200
    parsed: dict[str, Any] = yaml.safe_load(response.content)
    return parsed


def test_it_has_no_warnings(tmp_path: Any) -> None:
    call_command(
        "spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yml")
    )


def test_it_tells_every_endpoint(schema: dict[str, Any]) -> None:
    own = len(urlpatterns) - 1  # but for what answers "nothing here"
    assert len(schema["paths"]) == own + len(doors.urlpatterns)


def test_the_product_s_own_endpoints_are_listed_first(schema: dict[str, Any]) -> None:
    listed = [each["name"] for each in schema["tags"]]
    used = {
        tag
        for operations in schema["paths"].values()
        for operation in operations.values()
        for tag in operation["tags"]
    }
    assert used == set(listed)
    assert listed[0] == "readings"
    assert listed[-1] == "platform's clients"


def test_every_body_and_every_answer_has_an_example(schema: dict[str, Any]) -> None:
    def shown(content: dict[str, Any]) -> bool:
        return any("example" in each or "examples" in each for each in content.values())

    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            bodies = {
                code: answer["content"]
                for code, answer in operation["responses"].items()
                if "content" in answer
            }
            if "requestBody" in operation:
                bodies["request"] = operation["requestBody"]["content"]
            assert bodies
            bare = [name for name, content in bodies.items() if not shown(content)]
            assert not bare, f"{method} {path}: {bare}"


def test_the_docs_are_served_without_another_host(client: Client) -> None:
    response = client.get("/api/docs/")

    assert response.status_code == 200
    assert b"://" not in response.content.replace(b"http://testserver", b"")


def test_one_header_or_the_other(schema: dict[str, Any]) -> None:
    security = schema["paths"]["/api/v1/readings"]["get"]["security"]
    assert {"bearer": []} in security
    assert {"apiKey": []} in security


def test_whatever_writes_takes_a_key(schema: dict[str, Any]) -> None:
    """An endpoint that accepts a key and ignores it would be worse than one that has none."""
    posts = {
        path.removeprefix("/api/v1/"): methods["post"]
        for path, methods in schema["paths"].items()
        if "post" in methods
    }
    assert "mint-batch" in posts
    del posts["mint-batch/estimate"]  # writes nothing
    patches = [methods["patch"] for methods in schema["paths"].values() if "patch" in methods]
    for post in [*posts.values(), *patches]:
        (header,) = [each for each in post["parameters"] if each["name"] == "Idempotency-Key"]
        assert header["in"] == "header"
        assert header["schema"]["maxLength"] == 255
        assert "Retry-After" in post["responses"]["409"]["headers"]
        assert {"400", "409", "422"} <= set(post["responses"])


def test_what_a_door_answers_is_described(schema: dict[str, Any]) -> None:
    components = schema["components"]["schemas"]
    for name, members in (
        ("Submitted", clients.SUBMITTED),
        ("OfMeter", clients.OF_METER),
        ("Accepted", clients.ACCEPTED),
        ("Counted", {"success_count", "failed_count", "message"}),
        ("Unminted", clients.SUBMITTED - {"message"} | {"user_id"}),
        ("Paid", {"message", "transaction_signature", "kwh_amount", "wallet_address"}),
    ):
        assert set(components[name]["properties"]) == set(components[name]["required"]) == members


def test_options_tell_what_may_be_asked_and_no_body_that_is_none(
    machine: Callable[..., APIClient],
) -> None:
    answer = machine(Scope.SUBMIT).options("/api/v1/readings")
    assert answer["Allow"] == "GET, POST, HEAD, OPTIONS"
    assert "actions" not in answer.json()


def test_answers_have_the_members_described(
    schema: dict[str, Any], machine: Callable[..., APIClient]
) -> None:
    client = machine(Scope.READ, Scope.SUBMIT)
    components = schema["components"]["schemas"]
    batch = queued_batch([MeterReadingFactory()])
    reading = household().reading()

    def members(name: str) -> set[str]:
        assert set(components[name]["required"]) == set(components[name]["properties"])
        return set(components[name]["properties"])

    told = client.get(f"/api/v1/mint-batches/{batch.id}").json()
    assert set(told) == members("Batch")
    assert set(told["results"][0]) == members("Result")
    assert set(client.get(f"/api/v1/readings/{reading.id}").json()) == members("Reading")
    outcomes = client.post("/api/v1/readings", ["x"]).json()
    assert set(outcomes) == members("Outcomes")
    assert set(outcomes["results"][0]) == members("Outcome")
    assert set(client.get("/api/v1/readings/x").json()) == members("Problem")
    corrected = client.post(f"/api/v1/readings/{reading.id}/corrections", {"kwh_amount": 2}).json()
    assert set(corrected) == members("Reading") | {"revision", "correction_difference"}
