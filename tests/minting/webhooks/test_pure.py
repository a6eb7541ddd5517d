"""Signatures, URLs, addresses, waits: what needs no database."""

from __future__ import annotations

import base64
import ipaddress
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from minting.engine.events import EventType
from minting.webhooks import backoff, signing
from minting.webhooks.addresses import UrlRefused, is_public, judge_url
from minting.webhooks.payloads import Event, Message, body, messages

KEY = "an installation's key"


# ------------------------------------------------------------------ signatures


@given(st.text(max_size=300), st.uuids(), st.binary(min_size=32, max_size=32))
def test_the_official_library_verifies_what_we_sign_and_nothing_else(text, endpoint, salt):
    key = signing.secret(KEY, endpoint, salt.hex())
    other = signing.secret(KEY, endpoint, bytes(32 - 1).hex() + "ff")
    content = json.dumps({"text": text}, ensure_ascii=False).encode("utf-8", "surrogatepass")
    content = content.decode("utf-8", "replace").encode()
    now = int(datetime.now(UTC).timestamp())
    sent = signing.headers("msg_1", now, content, [other, key])

    assert Webhook(signing.shown(key)).verify(content, sent)
    assert Webhook(signing.shown(other)).verify(content, sent)
    for changed in (
        (content + b" ", sent),
        (content, {**sent, "webhook-id": "msg_2"}),
        (content, {**sent, "webhook-timestamp": str(now - 1)}),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(signing.shown(key)).verify(*changed)


def test_a_secret_is_32_bytes_and_depends_on_key_endpoint_and_salt():
    one, two = uuid4(), uuid4()
    secrets = {
        signing.secret(key, endpoint, salt)
        for key in ("a", "b")
        for endpoint in (one, two)
        for salt in ("00" * 32, "01" * 32)
    }
    assert len(secrets) == 8
    shown = signing.shown(signing.secret("a", one, "00" * 32))
    assert shown.startswith("whsec_")
    assert len(base64.b64decode(shown.removeprefix("whsec_"))) == 32


# ------------------------------------------------------------------ addresses

v4 = st.ip_addresses(v=4)
v6 = st.ip_addresses(v=6)


@given(st.one_of(v4, v6))
@example(ipaddress.ip_address("168.63.129.16"))
def test_nothing_that_python_knows_as_not_global_is_public(address):
    public = is_public(str(address))
    if not address.is_global or address.is_multicast or address.is_reserved:
        assert not public
    if isinstance(address, ipaddress.IPv4Address) and not public:
        known = not address.is_global or address.is_multicast
        assert known or any(address in ipaddress.ip_network(each) for each in OURS)


OURS = ("168.63.129.16", "192.88.99.0/24", "192.0.0.0/24")
"""Closed here, and open to Python: Azure's agent, 6to4's relays, all of the protocols' own."""


@given(v4)
def test_no_ipv6_form_leads_to_an_ipv4_address(address):
    number = int(address)
    for form in (
        ipaddress.IPv6Address((0xFFFF << 32) | number),  # mapped
        ipaddress.IPv6Address(number),  # compatible
        ipaddress.IPv6Address((0x64FF9B << 96) | number),  # NAT64
        ipaddress.IPv6Address((0x64FF9B0001 << 80) | number),  # local NAT64
        ipaddress.IPv6Address((0x2002 << 112) | (number << 80)),  # 6to4
        ipaddress.IPv6Address((0x20010000 << 96) | (number ^ 0xFFFFFFFF)),  # Teredo
    ):
        assert not is_public(str(form))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "0.0.0.1", "10.1.2.3", "100.64.0.1", "169.254.169.254", "172.31.255.255",
        "192.168.0.1", "198.18.0.1", "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1",
        "fe80::1%eth0", "fd00:ec2::254", "ff02::1", "::ffff:8.8.8.8", "2001:db8::1", "not one",
        "2606:4700::1%eth0", "fec0::1",
    ],
)  # fmt: skip
def test_addresses_of_the_inside_are_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450::1"])
def test_addresses_of_the_internet_are_public(address):
    assert is_public(address)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.com/", "https://"),
        ("ftp://example.com/", "https://"),
        ("//example.com/", "https://"),
        ("example.com", "https://"),
        ("https://", "no host"),
        ("https:///path", "no host"),
        ("https://user:secret@example.com/", "user name"),
        ("https://key@example.com/", "user name"),
        ("https://example.com/#part", "fragment"),
        ("https://example.com:22/", "Port 22"),
        ("https://example.com:80/", "Port 80"),
        ("https://example.com:99999/", "65535"),
        ("https://127.0.0.1/", "open Internet"),
        ("https://[::1]/", "open Internet"),
        ("https://[::ffff:10.0.0.1]/", "open Internet"),
        ("https://localhost/", "inside"),
        ("https://api.localhost./", "inside"),
        ("https://metadata.google.internal/", "inside"),
        ("https://exa mple.com/", "spaces"),
        ("https://example.com\\@evil.example/", "backslashes"),
        ("https://example.com/\r\nHost: x", "spaces"),
        ("https://example.com/" + "x" * 500, "500 characters"),
    ],
)
def test_urls_that_nothing_is_sent_to(url, why):
    with pytest.raises(UrlRefused, match=why.replace("(", r"\(")):
        judge_url(url, allow_private=False)


def test_urls_that_are_sent_to():
    for url in (
        "https://example.com",
        "https://example.com:8443/a?b=c",
        "https://bücher.example/haken",
        "https://8.8.8.8/",
        "https://[2606:4700::1]:4433/x",
    ):
        assert judge_url(url, allow_private=False).scheme == "https"
    for url in ("http://127.0.0.1:22/x", "http://localhost/", "https://10.0.0.1/"):
        judge_url(url, allow_private=True)
    with pytest.raises(UrlRefused):
        judge_url("file:///etc/passwd", allow_private=True)


# ------------------------------------------------------------------ waits


@given(st.integers(1, 20), st.floats(0, 1))
def test_a_delivery_waits_longer_each_time_and_is_given_up_after_ten(failures, chance):
    wait = backoff.wait(failures, chance)
    if failures >= 10:
        assert wait is None
        return
    assert wait is not None
    assert backoff.WAITS[failures - 1] <= wait <= backoff.WAITS[failures - 1] * 1.1
    before = backoff.wait(failures - 1, 1) if failures > 1 else timedelta(0)
    assert before is not None
    assert before < wait


def test_all_attempts_fit_into_the_patience():
    longest = sum((backoff.wait(number, 1) or timedelta() for number in range(1, 10)), timedelta())
    assert timedelta(days=3) < longest < backoff.PATIENCE


@given(st.integers(1, 10**6), st.integers(0, 10**8), st.floats(0, 1))
def test_an_endpoint_rests_but_not_for_ever(failures, asked, chance):
    rest = backoff.rest(failures, timedelta(seconds=asked), chance)
    assert rest <= backoff.LONGEST_ASKED
    assert rest >= min(timedelta(seconds=asked), backoff.LONGEST_ASKED)
    alone = backoff.rest(failures, None, chance)
    assert alone <= backoff.LONGEST_REST * 1.1
    assert (alone == timedelta(0)) == (failures < backoff.RESTS_AFTER)


def test_retry_after_is_read_as_seconds_or_as_a_date():
    now = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
    asked = backoff.asked_for
    assert asked("120", now) == timedelta(minutes=2)
    assert asked("Tue, 24 Nov 2026 09:00:30 GMT", now) == timedelta(seconds=30)
    assert asked("Tue, 24 Nov 2026 08:00:30 GMT", now) == timedelta(0)
    assert [asked(text, now) for text in (None, "", "soon", "-1", "1e9", "²")] == [None] * 6


# ------------------------------------------------------------------ payloads


def failures(batch: UUID, numbers: range) -> Event:
    told = [{"reading_id": str(n), "code": "c", "reason": "r"} for n in numbers]
    return Event(uuid4(), EventType.READING_FAILED, batch, {"readings": told}, datetime.now(UTC))


def finished(batch: UUID) -> Event:
    return Event(uuid4(), EventType.BATCH_FINISHED, batch, {"status": "failed"}, datetime.now(UTC))


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 1500), st.integers(0, 1)), max_size=8))
def test_failures_are_told_together_each_once_and_before_their_batch_is_finished(script):
    batches = [uuid4(), uuid4()]
    events: list[Event] = []
    wanted: dict[UUID, list[str]] = {batch: [] for batch in batches}
    count = 0
    for ends, many, which in script:
        batch = batches[which]
        if ends:
            events.append(finished(batch))
            wanted[batch].append("end")
        else:
            events.append(failures(batch, range(count, count + many)))
            wanted[batch] += map(str, range(count, count + many))
            count += many
    told = messages(events, {batch: {"id": str(batch)} for batch in batches})

    assert len({message.id for message in told}) == len(told)
    for batch in batches:
        mine: list[str] = []
        for message in told:
            if message.type is EventType.BATCH_FINISHED:
                mine += ["end"] if message.data["id"] == str(batch) else []
            elif message.data["batch_id"] == str(batch):
                assert len(message.data["readings"]) <= 1000
                mine += [reading["reading_id"] for reading in message.data["readings"]]
        assert mine == wanted[batch]


def test_a_hundred_thousand_failures_are_a_hundred_messages():
    batch = uuid4()
    events = [failures(batch, range(n, n + 60)) for n in range(0, 100_000, 60)]
    assert len(messages(events, {})) == 101


def test_bytes_are_canonical():
    moment = datetime(2026, 11, 24, 9, 0, 0, 123456, tzinfo=UTC)
    message = Message("msg_1", EventType.MINTING_STOPPED, moment, {"cause": "é"})
    assert body(message, 7) == (
        '{"type":"minting.stopped","timestamp":"2026-11-24T09:00:00.123Z","sequence":7,'
        '"data":{"cause":"é"}}'
    )
