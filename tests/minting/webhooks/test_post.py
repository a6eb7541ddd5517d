"""One request: where it may go, and what of the name stays when an address is connected to."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import httpcore2
import pytest

from minting.engine.events import Outcome
from minting.webhooks import post
from minting.webhooks.post import Answer, Letter, Post
from tests.minting.webhooks.receiver import Receiver, Reply

NAME = "receiver.example.com"


class Names:
    """A resolver whose answer changes with every question, as an attacker's does."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, _host: str, _port: int) -> Sequence[str]:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def sent(url: str, *, allow_private: bool, times: int = 1, **options) -> list[Answer]:
    async def go() -> list[Answer]:
        async with Post(allow_private=allow_private, at_once=2, **options) as way:
            letter = Letter(url, {"webhook-id": "msg_1"}, b"{}")
            return [await way.send(letter) for _ in range(times)]

    return asyncio.run(go())


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.close()


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["8.8.8.8", "127.0.0.1"],  # one bad is enough
        ["::ffff:127.0.0.1"],
        ["169.254.169.254"],
        ["64:ff9b::7f00:1"],
    ],
)
def test_a_name_that_leads_inside_is_not_connected_to(receiver, addresses):
    names = Names(addresses)
    url = f"https://{NAME}:{receiver.port}/"

    [answer] = sent(url, allow_private=False, resolver=names)

    assert answer.outcome is Outcome.FORBIDDEN
    assert "may not be sent to" in answer.error
    assert receiver.got == []
    assert names.asked == 1


def test_what_was_judged_is_what_is_connected_to(monkeypatch):
    """The name means something else with every question; only the first answer counts."""
    names = Names(["8.8.8.8"], ["127.0.0.1"])
    opened = []

    async def connect(_self, host, *_args):
        opened.append(host)
        raise httpcore2.ConnectError("not in a test")

    monkeypatch.setattr(httpcore2.AnyIOBackend, "connect_tcp", connect)

    [answer] = sent(f"https://{NAME}/", allow_private=False, resolver=names)

    assert (answer.outcome, answer.error) == (Outcome.UNREACHABLE, "not in a test")
    assert (opened, names.asked) == (["8.8.8.8"], 1)


def test_a_url_that_is_not_allowed_any_more_is_not_sent_to(receiver):
    for url in (receiver.url, f"https://127.0.0.1:{receiver.port}/"):
        [answer] = sent(url, allow_private=False)
        assert answer.outcome is Outcome.FORBIDDEN
    assert receiver.got == []


def test_a_name_is_resolved_once_a_connection_and_the_next_address_is_tried(receiver):
    names = Names(["127.0.0.2", "127.0.0.1"])
    answers = sent(
        f"http://{NAME}:{receiver.port}/x?y=1", allow_private=True, times=2, resolver=names
    )

    assert [answer.outcome for answer in answers] == [Outcome.ACCEPTED] * 2
    assert names.asked == 1
    assert {got.headers["host"] for got in receiver.got} == {f"{NAME}:{receiver.port}"}
    assert answers[0].address == "127.0.0.1"


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes the certificate")
def test_tls_is_for_the_name_though_an_address_is_connected_to(receiver, tmp_path):
    certificate = make_certificate(tmp_path)
    asked_for = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, tmp_path / "key.pem")
    context.sni_callback = lambda _socket, name, _context: asked_for.append(name)
    receiver.server.socket = context.wrap_socket(receiver.server.socket, server_side=True)
    trust = ssl.create_default_context(cafile=str(certificate))
    names = Names(["127.0.0.1"])

    def try_(host: str, **options) -> Answer:
        url = f"https://{host}:{receiver.port}/"
        return sent(url, allow_private=True, resolver=names, **options)[0]

    right = try_(NAME, ssl_context=trust)
    other = try_("other.example.com", ssl_context=trust)
    unknown = try_(NAME)

    assert (right.outcome, asked_for[0]) == (Outcome.ACCEPTED, NAME)
    assert (other.outcome, unknown.outcome) == (Outcome.UNREACHABLE, Outcome.UNREACHABLE)
    assert "certificate" in other.error.lower()
    assert len(receiver.got) == 1


def make_certificate(folder: Path) -> Path:
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *(
                "-nodes",
                "-days",
                "2",
                "-subj",
                f"/CN={NAME}",
                "-addext",
                f"subjectAltName=DNS:{NAME}",
            ),
            *("-keyout", folder / "key.pem", "-out", folder / "cert.pem"),
        ],
        check=True,
        capture_output=True,
    )
    return folder / "cert.pem"


def test_a_dribbling_answer_is_cut_off(monkeypatch):
    """Each byte comes in time; all of them never would."""
    monkeypatch.setattr(post, "TOTAL_TIMEOUT", 0.6)
    gone = asyncio.Event()

    async def dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n{}")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not reader.at_eof():
            writer.write(b"x")
            await asyncio.sleep(0.1)
        writer.close()
        gone.set()

    async def go() -> Answer:
        server = await asyncio.start_server(dribble, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, Post(allow_private=True, at_once=1) as way:
            answer = await way.send(Letter(f"http://127.0.0.1:{port}/", {}, b"{}"))
            await asyncio.wait_for(gone.wait(), 5)
            return answer

    begun = time.monotonic()
    answer = asyncio.run(go())
    assert answer.outcome is Outcome.TIMED_OUT
    assert time.monotonic() - begun < 2


def test_answers_are_read_no_further_than_they_are_kept(receiver):
    receiver.answer = lambda _got: Reply(200, body=b"\0\xff" + b"x" * 5_000_000)
    [answer] = sent(receiver.url, allow_private=True)
    assert answer.outcome is Outcome.ACCEPTED
    assert len(answer.text) == post.ANSWER_BYTES
    assert "\0" not in answer.text


def test_names_that_nobody_can_resolve_are_answers_too():
    for name in ("nowhere.invalid", "a" * 70 + ".example"):
        [answer] = sent(f"https://{name}/", allow_private=True)
        assert answer.outcome is Outcome.UNREACHABLE
        assert answer.error
