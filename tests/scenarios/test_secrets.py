"""A mint that fails in every way at once, and everything it prints: no secret is in it."""

from __future__ import annotations

import io
import json
import logging
import sys
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.conf import settings as configured
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client, RequestFactory
from django.views.debug import ExceptionReporter
from rest_framework.test import APIClient
from solders.keypair import Keypair

from minting.access.models import ApiToken
from minting.access.scopes import Scope
from minting.conf import current
from minting.engine.errors import BlockchainError
from minting.models import BatchSource, MintBatch, WebhookAttempt
from minting.service.chain.session import open_session
from minting.service.drive import submit
from minting.service.requests.prepare import request_batch
from minting.tasks import look, sweep, tend_signer
from minting.webhooks.endpoints import CHOOSABLE, make_endpoint
from readings.models import MeterReading
from tests.factories.readings import household, solar_farm
from tests.minting.conftest import MintingChain, minting_chain
from tests.minting.webhooks.conftest import send
from tests.tables import every_row
from tests.vault.operator import KEY, Operator
from tests.vault.server import StandIn

__all__ = ["minting_chain"]

pytestmark = pytest.mark.django_db(transaction=True)

NAME = "Telltale Ownername"
MAIL = "telltale@owners.example"


@pytest.fixture
def standin():
    server = StandIn()
    Operator(server.url, server.root).prepare()
    yield server
    server.close()


class Evidence:
    """Everything that anybody gets to see, by where it was seen."""

    def __init__(self) -> None:
        self.seen: dict[str, str] = {}

    def note(self, where: str, text: object) -> None:
        self.seen[where] = self.seen.get(where, "") + str(text)

    def holders(self, *words: str) -> dict[str, list[str]]:
        """Where each word was seen."""
        found = {}
        for word in words:
            assert len(word) > 5
            if places := [
                where for where, text in self.seen.items() if word.lower() in text.lower()
            ]:
                found[word] = [f"{where}: {self.around(where, word)}" for where in places]
        return found

    def around(self, where: str, word: str) -> str:
        text = self.seen[where]
        at = text.lower().index(word.lower())
        return text[max(0, at - 200) : at + len(word) + 20]


def shapes(key: Keypair) -> list[str]:
    """How the bytes of a key may be written."""
    whole, seed = bytes(key), bytes(key)[:32]
    return [
        str(key), json.dumps(list(seed))[1:-1], ",".join(map(str, seed)), whole.hex(), seed.hex(),
        b64encode(whole).decode()[:40], repr(seed)[2:-1],
    ]  # fmt: skip


def pages(client: Client, *paths: str) -> str:
    answers = [client.get(path, follow=True) for path in paths]
    assert {answer.status_code for answer in answers} == {200}, list(
        zip(paths, answers, strict=True)
    )
    return "".join(answer.content.decode() for answer in answers)


def error_page(token: str) -> str:
    """Django's, of an error deep in signing, with all settings and all variables."""
    request = RequestFactory().get("/", HTTP_AUTHORIZATION=f"Bearer {token}", HTTP_X_API_KEY=token)
    with open_session() as session:
        try:
            session.open_signer()
        except BlockchainError:
            reporter = ExceptionReporter(request, *sys.exc_info())
            return reporter.get_traceback_html() + reporter.get_traceback_text()
    raise AssertionError("it should have failed")


@dataclass
class Scene:
    """A household, whoever looks, and what they see."""

    chain: MintingChain
    evidence: Evidence
    reading: MeterReading
    token: str
    webhook_secret: str
    staff: Client
    machine: APIClient

    def without_nodes(self) -> MintBatch:
        """The key is in a file, and no node answers."""
        settings = self.chain.settings
        dead = "http://user:telltale-userinfo@127.0.0.1:1/v2/telltale-path?api-key=telltale-query"
        settings.SOLANA_RPC_URL, settings.SOLANA_RPC_URLS = dead, [dead, dead + "2"]
        batch = request_batch([self.reading.id], source=BatchSource.API, strict=True, nudge=False)
        look()
        sweep()
        asked = {"reading_ids": [str(solar_farm().reading().id)]}
        note = self.evidence.note
        note("API", self.machine.post("/api/v1/mint-batch/estimate", asked).content)
        note("API", self.machine.get("/readyz").content)
        for command in (["reconcile", "--json"], ["recover"], ["estimate", "--pending"]):
            out, err = io.StringIO(), io.StringIO()
            try:
                call_command(*command, stdout=out, stderr=err)
            except (Exception, SystemExit) as error:  # noqa: BLE001 — we want what it says
                note("command", error)
            note("command", out.getvalue() + err.getvalue())
        with open_session() as session:
            kept = session.open_signer()
            note("repr", repr((session, session.config, kept, current(), session.cluster)))
        return batch

    def without_vault(self, url: str) -> None:
        """The nodes answer, and Vault says no."""
        settings = self.chain.settings
        settings.SOLANA_RPC_URLS = [self.chain.net.url.replace("://", "://user:telltale-userinfo@")]
        settings.MINT_SIGNER, settings.VAULT_ADDR, settings.VAULT_TRANSIT_KEY = "vault", url, KEY
        settings.VAULT_TOKEN = "hvs.telltale-token"
        settings.VAULT_SECRET_ID = "telltale-secret-id"
        settings.Q_BROKER_URL = "redis://:telltale-redis@127.0.0.1:6379/0"
        self.evidence.note("log", look())
        tend_signer()
        self.evidence.note("error page", error_page(self.token))
        settings.VAULT_ROLE_ID = "telltale-role"
        self.evidence.note("error page", error_page(self.token))

    def looked_at(self, batch: MintBatch) -> None:
        """By staff, by machines, by the operator who greps."""
        note = self.evidence.note
        models = (
            "mintbatch",
            "mintresult",
            "minttransaction",
            "webhookdelivery",
            "webhookendpoint",
        )
        lists = [f"/admin/minting/{name}/" for name in models]
        retrying = "/admin/readings/meterreading/?status__exact=retrying"
        note(
            "admin", pages(self.staff, f"{lists[0]}{batch.id}/change/", "/admin/", *lists, retrying)
        )
        own = f"/api/v1/mint-batches/{batch.id}"
        note("API", pages(self.machine, own, f"{own}/results", "/api/v1/mint-batches"))
        again = self.machine.post("/api/v1/mint-batch", {"reading_ids": [str(self.reading.id)]})
        note("API", again.content)
        note("metrics", self.machine.get("/metrics").content)
        note("repr", repr((current(), current().signing)))
        for file in Path(self.chain.settings.MINT_JOURNAL_DIR).glob("*"):
            note("journal file", file.read_text())
        note("tables", every_row())


@pytest.fixture
def scene(minting_chain) -> Scene:
    person = household()
    person.owner.name, person.owner.email = NAME, MAIL
    person.owner.save()
    minting_chain.settings.WEBHOOK_ALLOW_PRIVATE = True
    _, token = ApiToken.objects.issue(
        user=User.objects.create_user("machine"), scopes=list(Scope), expires_in=None
    )
    _, secret = make_endpoint(url="http://127.0.0.1:1/hook", events=CHOOSABLE, by="root")
    staff, machine = Client(), APIClient()
    staff.force_login(User.objects.create_superuser("root", password="telltale-password"))
    machine.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return Scene(minting_chain, Evidence(), person.reading(), token, secret, staff, machine)


def test_what_a_failing_mint_prints(scene, standin, caplog, monkeypatch):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(submit, "PATIENCE", 0.5)
    monkeypatch.setitem(configured.DATABASES["default"], "PASSWORD", "telltale-database")
    caplog.set_level(logging.INFO, "factory")  # the tests' own, which shows what it makes
    evidence = scene.evidence
    batch = scene.without_nodes()
    scene.without_vault(standin.url)
    batch.refresh_from_db()
    assert batch.status == "failed"
    send()
    assert WebhookAttempt.objects.exists()
    scene.looked_at(batch)
    evidence.note("log", caplog.text)
    for record in caplog.records:
        evidence.note("log", f"{record.msg} {record.args} {record.exc_info}")

    # What is looked through is what it should be.
    assert "signer_refused" in evidence.seen["admin"]
    assert "signer_refused" in evidence.seen["API"]
    assert "VAULT_TOKEN" in evidence.seen["error page"]
    assert evidence.holders("node_failed", "signing_stopped").keys() == {
        "node_failed", "signing_stopped",
    }  # fmt: skip
    telltales = [
        "userinfo",
        "path",
        "query",
        "token",
        "secret-id",
        "redis",
        "database",
        "role",
        "password",
    ]
    secrets = [
        *shapes(scene.chain.authority), configured.SECRET_KEY, scene.token, scene.webhook_secret,
        scene.webhook_secret.removeprefix("whsec_"), *(f"telltale-{each}" for each in telltales),
    ]  # fmt: skip
    assert evidence.holders(*secrets) == {}
    # Staff see names; nobody else, and nothing that is kept or sent.
    for word in (NAME, MAIL):
        places = {each.partition(":")[0] for each in evidence.holders(word).get(word, [])}
        assert places in ({"tables"}, {"tables", "admin"}), evidence.holders(word)
