"""``/healthz`` and ``/readyz``."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client

from gridtoken.embedded.localnet import Localnet
from minting.api import health


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    """What an earlier test was answered is not this one's."""
    health._silent.forget()


def test_alive_asks_nobody(client: Client) -> None:
    response = client.get("/healthz")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert client.post("/healthz").status_code == 405
    assert client.head("/healthz").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_ready_when_all_answer(client: Client, chain: Localnet) -> None:
    response = client.get("/readyz")

    assert (response.status_code, response.json()) == (200, {"status": "ok", "unavailable": []})


@pytest.mark.django_db(transaction=True)
def test_one_node_suffices(client: Client, chain: Localnet, settings: Any) -> None:
    settings.SOLANA_RPC_URLS = ["http://127.0.0.1:9", chain.url]

    assert client.get("/readyz").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_without_a_node_it_says_so(client: Client, settings: Any) -> None:
    settings.SOLANA_RPC_URLS = ["http://127.0.0.1:9"]

    response = client.get("/readyz")

    assert response.status_code == 503
    assert response.json() == {"status": "unavailable", "unavailable": ["node"]}


@pytest.mark.django_db(transaction=True)
def test_what_hangs_or_breaks_is_named_in_time(
    client: Client, chain: Localnet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks() -> None:
        raise ConnectionError("refused")

    monkeypatch.setattr(
        health,
        "CHECKS",
        {**health.CHECKS, "database": lambda: time.sleep(1), "broker": breaks},
    )
    monkeypatch.setattr(health, "PATIENCE", 0.5)
    begun = time.monotonic()

    response = client.get("/readyz")

    assert time.monotonic() - begun < 1
    assert response.status_code == 503
    assert response.json()["unavailable"] == ["database", "broker"]


@pytest.mark.django_db(transaction=True)
def test_newer_code_than_tables_is_not_ready(
    client: Client, chain: Localnet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_migrated", False)
    applied = MigrationRecorder.Migration.objects.filter(app="minting").latest("id")
    applied.delete()

    assert client.get("/readyz").json()["unavailable"] == ["migrations"]
    applied.save()
    health._silent.forget()
    assert client.get("/readyz").status_code == 200
    assert health._migrated


def test_however_often_anybody_asks_each_part_is_asked_once_a_second(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    well = False

    def node() -> None:
        asked.append("node")
        if not well:
            raise ConnectionError("refused")

    monkeypatch.setattr(health, "CHECKS", {"node": node})
    answers = {client.get("/readyz").status_code for _ in range(30)}
    assert (answers, asked) == ({503}, ["node"])

    # However long it took: a part that is back is seen at once.
    well = True
    time.sleep(health.KEPT)
    assert client.get("/readyz").status_code == 200
