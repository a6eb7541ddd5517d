"""What a request is called, by whom it may be named, and what is not told of it."""

from __future__ import annotations

import pytest
from django.test import Client
from pytest_django import Settings

from gridtoken.following import current_request, name_the_request, remember
from minting.api import health


@pytest.mark.parametrize("brought", ["", "x" * 129, "a b", "naïve", '"; drop'])
def test_an_id_that_is_none_is_not_taken(client: Client, brought: str):
    answer = client.get("/healthz", headers={"X-Request-ID": brought})

    assert len(answer["X-Request-ID"]) == 36
    assert current_request() == ""


def test_what_people_search_for_is_in_no_line_and_probes_have_none(
    client: Client, caplog: pytest.LogCaptureFixture
):
    client.get("/nowhere/?q=Anong", headers={"X-Request-ID": "ours"})
    client.get("/healthz")

    (told,) = [record.msg for record in caplog.records if "structlog" in record.name]
    assert isinstance(told, dict)
    assert (told["event"], told["request_id"]) == ("request_finished", "ours")
    assert (told["request"], told["code"]) == ("GET /nowhere/", 404)


def test_probes_may_name_any_host_and_nobody_else(client: Client, settings: Settings):
    settings.ALLOWED_HOSTS = [".utility.example"]

    assert client.get("/healthz", headers={"host": "192.0.2.7:8000"}).status_code == 200
    assert client.get("/", headers={"host": "192.0.2.7:8000"}).status_code == 400


@pytest.mark.django_db
def test_an_answer_that_says_no_is_told_once_and_by_its_request(
    client: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    def away() -> None:
        raise ConnectionError("refused")

    monkeypatch.setattr(health, "CHECKS", {"node": away})
    health._silent.forget()
    assert client.get("/readyz", headers={"X-Request-ID": "probe"}).status_code == 503

    told = [record.msg for record in caplog.records]
    assert [each["event"] for each in told] == ["not_ready", "request_finished"], told
    assert told[-1]["request_id"] == "probe"


def test_a_stranger_s_name_for_us_is_a_line_and_no_fault(
    client: Client, caplog: pytest.LogCaptureFixture
):
    # Whoever scans the net sends such all day: no traceback, and nothing to wake up for.
    assert client.get("/", headers={"host": "192.0.2.7"}).status_code == 400

    (told,) = [each for each in caplog.records if each.name == "django.security.DisallowedHost"]
    assert (told.levelname, told.exc_info) == ("WARNING", None)
    assert "192.0.2.7" in told.getMessage()


def test_a_line_about_a_batch_names_its_request_unless_it_has_one():
    remember("b-1", "r-1")
    remember("b-2", "")

    assert name_the_request(None, "info", {"batch_id": "b-1"})["request_id"] == "r-1"
    assert name_the_request(None, "info", {"batch_id": "b-1", "request_id": "r-2"}) == {
        "batch_id": "b-1",
        "request_id": "r-2",
    }
    assert "request_id" not in name_the_request(None, "info", {"batch_id": "b-2"})
