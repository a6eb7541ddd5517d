"""A mint that fails in every way at once, and everything it prints: no secret is in it."""

from __future__ import annotations

import io
import json
import logging
import sys
from base64 import b64encode
from pathlib import Path

import pytest
from django.conf import settings as configured
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
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
from tests.factories.readings import household, solar_farm
from tests.minting.conftest import minting_chain
from tests.minting.webhooks.conftest import send
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
    return "".join(
        b"".join(answer.streaming_content).decode() if answer.streaming else answer.content.decode()
        for answer in answers
    )


def tables() -> str:
    """Every row of every table, as text."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        names = [name for (name,) in cursor.fetchall()]
        rows = []
        for name in names:
            cursor.execute(f'SELECT t::text FROM "{name}" t')
            rows += [row for (row,) in cursor.fetchall()]
    return "\n".join(rows)


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


@pytest.fixture
def staff_client(db) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root", password="telltale-password"))
    return client


def test_what_a_failing_mint_prints(
    minting_chain, standin, staff_client, settings, caplog, monkeypatch
):
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.INFO, "factory")  # the tests' own, which shows what it makes
    monkeypatch.setattr(submit, "PATIENCE", 0.5)
    evidence = Evidence()
    person = household()
    person.owner.name, person.owner.email = NAME, MAIL
    person.owner.save()
    _, token = ApiToken.objects.issue(
        user=User.objects.create_user("machine"), scopes=list(Scope), expires_in=None
    )
    settings.WEBHOOK_ALLOW_PRIVATE = True
    _, webhook_secret = make_endpoint(url="http://127.0.0.1:1/hook", events=CHOOSABLE, by="root")
    machine = APIClient()
    machine.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    first = person.reading()

    # --- the keypair is there, the nodes are not
    net = minting_chain.net.url
    dead = "http://user:telltale-userinfo@127.0.0.1:1/v2/telltale-path?api-key=telltale-query"
    settings.SOLANA_RPC_URLS = [dead, dead + "2"]
    settings.SOLANA_RPC_URL = dead
    batch = request_batch([first.id], source=BatchSource.API, strict=True, nudge=False)
    look()
    sweep()
    evidence.note("API", machine.post(
        "/api/v1/mint-batch/estimate", {"reading_ids": [str(solar_farm().reading().id)]}
    ).content)  # fmt: skip
    evidence.note("API", machine.get("/readyz").content)
    for command in (["reconcile", "--json"], ["recover"], ["estimate", "--pending"]):
        out, err = io.StringIO(), io.StringIO()
        try:
            call_command(*command, stdout=out, stderr=err)
        except (Exception, SystemExit) as error:  # noqa: BLE001 — what it says is what we want
            evidence.note("command", error)
        evidence.note("command", out.getvalue() + err.getvalue())
    with open_session() as session:
        kept = session.open_signer()
        evidence.note("repr", repr((session, session.config, kept, current(), session.cluster)))

    # --- the nodes are there, and Vault says no
    settings.SOLANA_RPC_URLS = [net.replace("://", "://user:telltale-userinfo@")]
    settings.MINT_SIGNER, settings.MINT_AUTHORITY_ADDRESS = (
        "vault",
        minting_chain.settings.MINT_AUTHORITY_ADDRESS,
    )
    settings.VAULT_ADDR, settings.VAULT_TRANSIT_KEY = standin.url, KEY
    settings.VAULT_TOKEN = "hvs.telltale-token"
    settings.VAULT_SECRET_ID = "telltale-secret-id"
    settings.Q_BROKER_URL = "redis://:telltale-redis@127.0.0.1:6379/0"
    monkeypatch.setitem(configured.DATABASES["default"], "PASSWORD", "telltale-database")
    evidence.note("log", look())
    tend_signer()
    evidence.note("error page", error_page(token))
    settings.VAULT_ROLE_ID = "telltale-role"
    evidence.note("error page", error_page(token))
    batch.refresh_from_db()
    assert batch.status == "failed", MintBatch.objects.values("status", "error_code")
    send()
    assert WebhookAttempt.objects.exists()

    # --- who looks
    own = f"/admin/minting/mintbatch/{batch.id}/change/"
    evidence.note("admin", pages(
        staff_client, own, "/admin/", "/admin/minting/mintbatch/", "/admin/minting/mintresult/",
        "/admin/minting/minttransaction/", "/admin/minting/webhookdelivery/",
        "/admin/minting/webhookendpoint/", "/admin/readings/meterreading/?status__exact=retrying",
    ))  # fmt: skip
    batch_path = f"/api/v1/mint-batches/{batch.id}"
    evidence.note(
        "API", pages(machine, batch_path, f"{batch_path}/results", "/api/v1/mint-batches")
    )
    again = machine.post("/api/v1/mint-batch", {"reading_ids": [str(first.id)]})
    evidence.note("API", again.content)
    metrics = machine.get("/metrics")
    evidence.note("metrics", metrics.content)
    evidence.note("repr", repr((current(), current().signing)))
    evidence.note("log", caplog.text)
    for record in caplog.records:
        evidence.note("log", f"{record.msg} {record.args} {record.exc_info}")
    for file in Path(settings.MINT_JOURNAL_DIR).glob("*"):
        evidence.note("journal file", file.read_text())
    evidence.note("tables", tables())

    # What is looked through is what it should be.
    assert "signer_refused" in evidence.seen["admin"] + evidence.seen["API"]
    assert {"node_failed", "signing_stopped"} <= {
        word for word in ("node_failed", "signing_stopped") if word in evidence.seen["log"]
    }
    assert "VAULT_TOKEN" in evidence.seen["error page"]
    secrets = [
        *shapes(minting_chain.authority), token, webhook_secret, webhook_secret.removeprefix("whsec_"),
        configured.SECRET_KEY, "telltale-userinfo", "telltale-path", "telltale-query",
        "telltale-token", "telltale-secret-id", "telltale-redis", "telltale-database",
        "telltale-role", "telltale-password", standin.root + "-token",
    ]  # fmt: skip
    assert evidence.holders(*secrets) == {}
    # Staff see names; nobody else, and nothing that is kept or sent.
    for word in (NAME, MAIL):
        places = {each.partition(":")[0] for each in evidence.holders(word).get(word, [])}
        assert places <= {"admin", "tables"}, evidence.holders(word)
