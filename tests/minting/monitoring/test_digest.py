"""The digest: the worst first, once a day for all workers, through a mail server that is one."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_string
from email.policy import default
from typing import Any, cast

import pytest
from django.core.mail import EmailMultiAlternatives
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import Settings

from minting.journal import stop_minting
from minting.models import (
    Digest,
    MintInfo,
    MintResult,
    MintTransaction,
    Pulse,
    PulseKind,
    ReconcileRun,
)
from minting.monitoring.digest import letter, sending
from minting.monitoring.digest.concerns import report
from minting.service.watch import worker_health
from minting.service.watch.pulses import Beat, note
from tests.factories.readings import household, outsider
from tests.minting.admin import journal
from tests.minting.service.test_races import together

NOON = datetime.now(UTC).replace(hour=12, minute=0)


@pytest.fixture
def wanted(settings: Settings) -> None:
    """Two people, and workers that live."""
    settings.DIGEST_TO = ["ops@utility.example", "treasury@utility.example"]
    settings.DIGEST_HOUR = 6
    settings.DEFAULT_FROM_EMAIL = "GridToken <minting@utility.example>"
    settings.ALLOWED_HOSTS = ["mint.utility.example"]
    settings.DJANGO_HTTPS = True


@pytest.fixture
def workers(db: None) -> None:
    worker_health.report(1, workers=2, started_at=timezone.now())


@pytest.fixture
def everything(db: None, settings: Settings) -> None:
    """All at once that a digest may tell, seen the morning after."""
    journal.failed_batch(readings=3)
    MintResult.objects.filter(status="failed").update(settled_at=timezone.now())
    journal.doubtful_batch()
    journal.minted_batch(readings=2)
    household().reading()
    outsider().reading(status="held", code="no_wallet")
    stop_minting(reason="the tariff is being changed", by="approver")
    # Tried for two hours, and never brought to an end.
    run = ReconcileRun.objects.create(mint=MintInfo.objects.all()[0], status="failed")
    ReconcileRun.objects.update(started_at=run.started_at - timedelta(hours=2))
    payer = MintTransaction.objects.all()[0].fee_payer
    settings.MINT_AUTHORITY_ADDRESS = payer
    note(PulseKind.PAYER, [Beat(payer, facts={"lamports": 5_000, "slot": 1, "floor": 890_880})])


def test_it_tells_the_worst_first_and_names_nobody(wanted: None, everything: None):
    told = report((timezone.now() + timedelta(days=1)).date())

    message = letter.letter(told)

    titles = [each.title for each in told.concerns]
    assert titles == [
        "minting is stopped",
        "chain and journal are not compared",
        "1 transaction in doubt",
        "out of SOL",
        "no worker lives",
        "3 failures",
    ]
    assert message.subject == "GridToken: minting is stopped (and 5 more)"
    html, kind = cast("tuple[str, str]", message.alternatives[0])
    assert kind == "text/html"
    for words in (str(message.body), html):
        for each in told.concerns:
            assert each.text in words.replace("&#x27;", "'")
            assert f"https://mint.utility.example{each.path}" in words
        assert "Anong" not in words
    assert "Readings minted   2" in message.body
    assert "Readings held     1" in message.body
    assert message.extra_headers["Auto-Submitted"] == "auto-generated"


def test_once_a_day_and_only_if_there_is_something_to_tell(
    wanted: None, workers: None, mailoutbox: list[EmailMultiAlternatives], settings: Settings
):
    early = sending.send_if_due(NOON.replace(hour=5))
    quiet = sending.send_if_due(NOON)
    assert (early.reason, quiet.reason) == ("not yet", "nothing to tell")
    assert Digest.objects.get().done_at is not None

    stop_minting(reason="a look", by="approver")
    assert not sending.send_if_due(NOON).sent  # that day's was decided
    tomorrow = NOON + timedelta(days=1)
    assert sending.send_if_due(tomorrow).sent
    assert not sending.send_if_due(tomorrow).sent
    assert [each.subject for each in mailoutbox] == ["GridToken: minting is stopped"]
    assert mailoutbox[0].to == settings.DIGEST_TO

    settings.DIGEST_TO = []
    assert sending.send_if_due(NOON + timedelta(days=2)).reason == "DIGEST_TO names nobody"


@pytest.mark.django_db
def test_all_may_be_well(wanted: None, workers: None, mailoutbox: list[Any], settings: Settings):
    settings.DIGEST_ALWAYS = True

    assert sending.send_if_due(NOON).sent
    assert mailoutbox[0].subject == "GridToken: all is well, 0 readings minted"
    assert "Nothing needs you." in mailoutbox[0].body


@pytest.mark.django_db
def test_one_of_several_clusters_that_fell_silent_is_named(workers: None):
    worker_health.report(2, workers=2, started_at=timezone.now())
    gone = worker_health.cluster_name(2)
    Pulse.objects.filter(name=gone).update(alive_at=timezone.now() - timedelta(minutes=2))

    (told,) = report(NOON.date()).concerns
    assert told.title == "1 qcluster silent"
    assert gone in told.text


@pytest.mark.django_db(transaction=True)
def test_workers_that_come_at_once_send_one(wanted: None, mailoutbox: list[Any]):
    together(*[lambda: sending.send_if_due(NOON)] * 6)

    assert len(mailoutbox) == 1


class _Mail(socketserver.StreamRequestHandler):
    """As much of RFC 5321 as a client needs; keeps what it is given."""

    server: _Server

    def handle(self) -> None:
        self.say("220 here")
        for line in iter(self.rfile.readline, b""):
            word = line.decode().split(":")[0].split()[0].upper()
            if word == "DATA":
                self.say("354 go on")
                self.take()
            elif word == "MAIL" and self.server.refuses:
                self.say("451 later")
            elif word == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 fine")

    def take(self) -> None:
        lines = iter(self.rfile.readline, b".\r\n")
        self.server.messages.append("".join(line.decode() for line in lines))
        self.say("250 kept")

    def say(self, words: str) -> None:
        self.wfile.write(f"{words}\r\n".encode())


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Mail)
        self.messages: list[str] = []
        self.refuses = False


@contextmanager
def mail_server(settings: Settings) -> Iterator[_Server]:
    with _Server() as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


@pytest.mark.django_db
def test_a_mail_server_that_refuses_is_asked_again_and_both_bear_one_id(
    wanted: None, settings: Settings
):
    with mail_server(settings) as server:
        server.refuses = True
        refused = sending.send_if_due(NOON)
        server.refuses = False
        too_early = sending.send_if_due(NOON + timedelta(minutes=5))
        again = sending.send_if_due(NOON + timedelta(minutes=10))
        # As where a worker died before its note.
        Digest.objects.update(done_at=None)
        assert sending.send_if_due(NOON + timedelta(minutes=20)).sent

    assert refused.reason == "the mail server did not take it"
    assert (too_early.sent, again.sent) == (False, True)
    first, second = (message_from_string(each, policy=default) for each in server.messages)
    assert first["Message-ID"] == second["Message-ID"]
    assert first["Message-ID"].endswith("@utility.example>")
    assert first["Subject"] == "GridToken: no worker lives"
    kinds = [part.get_content_type() for part in first.iter_parts()]
    assert kinds == ["text/plain", "text/html"]


@pytest.mark.django_db
def test_the_command_shows_and_sends_only_if_told(
    workers: None, capsys: pytest.CaptureFixture[str], settings: Settings, mailoutbox: list[Any]
):
    call_command("digest")
    assert capsys.readouterr().out.startswith("Subject: GridToken: all is well")
    call_command("digest", "--json")
    assert json.loads(capsys.readouterr().out)["concerns"] == []
    call_command("digest", "--html")
    assert capsys.readouterr().out.startswith("<!doctype html>")
    with pytest.raises(CommandError, match="DIGEST_TO"):
        call_command("digest", "--send")
    assert mailoutbox == []
    settings.DIGEST_TO = ["ops@utility.example"]
    call_command("digest", "--send")
    assert len(mailoutbox) == 1
    assert not Digest.objects.exists()
