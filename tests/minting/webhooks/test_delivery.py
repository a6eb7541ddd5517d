"""From what the journal wrote to a receiver that verifies, drops, stalls and refuses."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from structlog.testing import capture_logs

from minting import journal
from minting.engine.events import EventType, Outcome
from minting.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint, WebhookEvent
from minting.webhooks import courier, endpoints, ledger, outbox, post, upkeep
from minting.webhooks.endpoints import make_endpoint, renew_secret, replay, replay_failed, send_test
from tests.minting.service.test_races import together
from tests.minting.webhooks.conftest import send
from tests.minting.webhooks.receiver import Reply

pytestmark = pytest.mark.django_db(transaction=True)


def happen(times: int = 1) -> None:
    """Something to be told: minting stops, and goes on."""
    for _ in range(times):
        with transaction.atomic():
            journal.stop_minting(reason="Somchai asked for it", by="somchai")
        with transaction.atomic():
            journal.resume_minting(by="somchai")


def test_what_happened_is_told_once_in_order_and_verifies(line):
    happen(3)
    report = send()

    assert (report.events, report.sent, report.accepted) == (6, 6, 6)
    told = line.receiver.verified(line.secret)
    assert [each["type"] for each in told] == ["minting.stopped", "minting.resumed"] * 3
    assert line.receiver.sequences() == [1, 2, 3, 4, 5, 6]
    assert all(b"somchai" not in got.body.lower() for got in line.receiver.got)
    assert all(
        got.headers["host"] == f"127.0.0.1:{line.receiver.port}" for got in line.receiver.got
    )
    assert [(each.state, each.attempts) for each in line.deliveries()] == [("delivered", 1)] * 6
    attempt = WebhookAttempt.objects.first()
    assert (attempt.outcome, attempt.status, attempt.address) == ("accepted", 204, "127.0.0.1")
    assert line.now().last_success_at is not None
    assert not WebhookEvent.objects.exists()
    assert send().sent == 0
    assert not upkeep.anything_due()


@pytest.mark.parametrize("hours", [30, -30])
def test_a_clock_that_is_wrong_here_is_told_nobody(line, monkeypatch, hours):
    """What receivers and other workers compare with is dated by the database."""
    right = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: right() + timedelta(hours=hours))
    happen()
    secret = renew_secret(line.endpoint.id, by="admin")
    line.receiver.answer = lambda _got: Reply(500)
    assert send().sent == 2

    assert timedelta(seconds=3) < line.deliveries()[0].due_at - right() < timedelta(seconds=6)
    until = line.now().previous_until - right()
    assert timedelta(hours=23) < until <= timedelta(hours=24)
    assert abs(line.endpoint.failing_since - right()) < timedelta(minutes=1)
    assert upkeep.tidy().given_up == 0
    line.receiver.answer = lambda _got: Reply()
    line.skip()
    assert send().accepted == 2
    for valid in (line.secret, secret):  # the library refuses what is five minutes off
        line.receiver.verified(valid)


def test_where_nobody_listens_nothing_is_written_and_nothing_told_is_kept(lines):
    happen()
    assert not WebhookEvent.objects.exists()
    line = lines((EventType.BATCH_FINISHED,))
    happen()
    assert not WebhookEvent.objects.exists()

    endpoints.remove_endpoint(line.endpoint.id, by="admin")
    with CaptureQueriesContext(connection) as captured, transaction.atomic():
        journal.stop_minting(reason="x", by="y")
    assert sum("webhook" in query["sql"] for query in captured) == 1


def test_what_is_rolled_back_is_not_told(line):
    with transaction.atomic():
        journal.stop_minting(reason="x", by="y")
        assert WebhookEvent.objects.exists()
        transaction.set_rollback(True)
    assert send().events == 0


@pytest.mark.parametrize(
    ("reply", "outcome", "error"),
    [
        (Reply(500, body=b"oh\0no" + b"x" * 5000), "refused", "answered 500"),
        (Reply(400), "refused", "answered 400"),
        (Reply(302, {"Location": "/elsewhere"}), "refused", "redirects are not followed"),
        (Reply(drop=True), "unreachable", ""),
        (Reply(after=3), "timed_out", "no answer within"),
    ],
)
def test_whatever_is_not_2xx_is_sent_again_later(line, monkeypatch, reply, outcome, error):
    monkeypatch.setattr(post, "READ_TIMEOUT", 0.3)
    line.receiver.answer = lambda _got: reply
    happen()
    send()

    stopped = line.deliveries()[0]
    assert (stopped.state, stopped.failures) == ("pending", 1)
    assert timedelta(seconds=3) < stopped.due_at - timezone.now() < timedelta(seconds=6)
    attempt = stopped.tries.get()
    assert (attempt.outcome, attempt.number) == (outcome, 1)
    assert error in attempt.error
    assert len(attempt.answer) <= 1024
    assert line.now().failures == 2

    line.receiver.answer = lambda _got: Reply(200)
    assert send().sent == 0
    line.skip()
    assert send().accepted == 2
    first, again = (got for got in line.receiver.got if got.id == stopped.message)
    assert first.body == again.body
    assert line.now().failures == 0
    line.receiver.verified(line.secret)


def test_the_endpoint_rests_after_three_failures_and_gets_everything_when_it_is_back(line):
    line.receiver.answer = lambda _got: Reply(503)
    happen(5)
    assert send().sent == 3
    assert line.now().rests_until > timezone.now()

    WebhookEndpoint.objects.update(rests_until=timezone.now())
    line.endpoint.deliveries.filter(sequence__lte=3).update(due_at=timezone.now())
    line.receiver.answer = lambda _got: Reply()
    send()

    assert sorted(line.receiver.sequences()) == [1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 8, 9, 10]
    assert {each.state for each in line.deliveries()} == {"delivered"}


def test_retry_after_is_honoured_but_not_for_ever(line):
    line.receiver.answer = lambda _got: Reply(429, {"Retry-After": "90"})
    happen()
    assert send().sent == 1
    wait = line.now().rests_until - timezone.now()
    assert timedelta(seconds=80) < wait <= timedelta(seconds=90)
    assert line.deliveries()[0].due_at - timezone.now() > timedelta(seconds=80)

    line.skip()
    line.receiver.answer = lambda _got: Reply(503, {"Retry-After": "999999"})
    send()
    assert line.now().rests_until - timezone.now() <= timedelta(hours=1)


def test_gone_disables_and_a_person_enables_again(line):
    line.receiver.answer = lambda _got: Reply(410)
    happen()
    with capture_logs() as logs:
        assert send().sent == 1

    assert (line.now().enabled, "410" in line.endpoint.disabled_reason) == (False, True)
    assert [log["log_level"] for log in logs if log["event"] == "webhook_endpoint_disabled"] == [
        "error"
    ]
    assert [each.state for each in line.deliveries()] == ["failed", "pending"]
    happen()  # numbered while nobody may be told
    line.receiver.answer = lambda _got: Reply()
    assert send().sent == 0
    assert endpoints.enable_endpoint(line.endpoint.id, by="admin") == 3
    assert send().accepted == 3
    assert replay_failed(line.endpoint.id, since=timezone.now() - timedelta(days=1), by="a") == 1
    send()
    assert line.receiver.sequences() == [1, 2, 3, 4, 1]
    assert line.receiver.got[0].body == line.receiver.got[-1].body


def test_ten_failures_are_enough_and_five_days_disable(line):
    line.receiver.answer = lambda _got: Reply(500)
    send_test(line.endpoint.id, by="admin")
    for _ in range(12):
        send()
        line.skip()
    delivery = line.deliveries()[0]
    assert (delivery.state, delivery.attempts) == ("failed", 10)

    WebhookEndpoint.objects.update(failing_since=timezone.now() - timedelta(days=5, minutes=1))
    happen()
    line.skip()
    send()
    assert not line.now().enabled
    assert "5 days" in line.endpoint.disabled_reason


def test_a_replay_is_the_same_bytes_under_the_same_id_freshly_signed(line):
    happen()
    send()
    first = line.receiver.got[0]
    time.sleep(1.1)
    delivery = line.deliveries()[0]

    assert replay(line.endpoint.deliveries.filter(id=delivery.id), by="admin") == 1
    send()

    again = line.receiver.got[-1]
    assert (again.id, again.body) == (first.id, first.body)
    assert int(again.headers["webhook-timestamp"]) > int(first.headers["webhook-timestamp"])
    assert again.headers["webhook-signature"] != first.headers["webhook-signature"]
    line.receiver.verified(line.secret)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.attempts, delivery.replayed_by) == ("delivered", 2, "admin")


def test_secrets_overlap_while_they_are_replaced(line, settings):
    newer = renew_secret(line.endpoint.id, by="admin")
    happen()
    send()
    line.receiver.verified(line.secret)
    line.receiver.verified(newer)

    newest = renew_secret(line.endpoint.id, by="admin", at_once=True)
    line.receiver.got.clear()
    happen()
    send()
    line.receiver.verified(newest)
    assert line.receiver.got[0].headers["webhook-signature"].count("v1,") == 1

    settings.SECRET_KEY = "another"
    happen()
    with capture_logs() as logs:
        assert send().sent == 0
    assert "DJANGO_SECRET_KEY" in line.now().disabled_reason
    words = repr(logs) + repr(WebhookEndpoint.objects.values())
    for secret in (line.secret, newer, newest):
        assert secret not in words
        assert secret.removeprefix("whsec_") not in words


def send_and_leave() -> None:
    send()
    connection.close()


def test_a_slow_and_a_dead_receiver_keep_nobody_waiting(lines, monkeypatch):
    monkeypatch.setattr(post, "READ_TIMEOUT", 1.5)
    slow, dead, quick = lines((EventType.BATCH_FINISHED,)), lines(()), lines()
    for each in (slow, dead):
        send_test(each.endpoint.id, by="admin")
    slow.receiver.answer = lambda _got: Reply(after=3)
    dead.receiver.close()
    happen(10)
    begun = time.monotonic()
    sender = threading.Thread(target=send_and_leave)
    sender.start()
    while len(quick.receiver.got) < 20:
        assert time.monotonic() < begun + 8, "the quick one waits for the others"
        time.sleep(0.01)
    took = time.monotonic() - begun
    sender.join(20)

    assert quick.receiver.sequences() == list(range(1, 21))
    assert took < 1.4
    assert dead.deliveries()[0].last_error
    assert dead.now().failures == slow.now().failures == 1


def test_two_couriers_never_send_to_one_endpoint_at_once(lines):
    all_of_them = [lines() for _ in range(4)]
    for line in all_of_them:
        line.receiver.answer = lambda _got: Reply(after=0.02)
    happen(10)

    together(*[send] * 4)

    for line in all_of_them:
        assert line.receiver.most_at_once == 1
        assert line.receiver.sequences() == list(range(1, 21))
        assert {each.attempts for each in line.deliveries()} == {1}
    assert not WebhookEndpoint.objects.exclude(claim=None).exists()


def test_minting_that_waits_goes_before_after_a_fair_share(line, monkeypatch):
    monkeypatch.setattr(courier, "FAIR_SHARE", 0.2)
    monkeypatch.setattr(courier, "LOOK_ASIDE", 0.05)
    line.receiver.answer = lambda _got: Reply(after=0.03)
    happen(10)

    report = courier.deliver(busy=lambda: True)

    assert 2 <= report.sent < 15
    assert line.now().claim is None
    assert upkeep.anything_due()
    assert send().sent == 20 - report.sent
    assert line.receiver.sequences() == list(range(1, 21))


def test_a_courier_that_is_told_to_stop_hands_back(line, lines, monkeypatch):
    monkeypatch.setattr(courier, "FAIR_SHARE", 0.0)
    monkeypatch.setattr(courier, "LOOK_ASIDE", 0.0)
    other = lines()
    other.receiver.answer = lambda _got: Reply(after=0.5)
    happen()

    def stop() -> bool:
        if line.receiver.got:
            raise SystemExit
        return False

    with pytest.raises(SystemExit):
        courier.deliver(busy=stop)
    assert not WebhookEndpoint.objects.exclude(claim=None).exists()
    other.receiver.answer = lambda _got: Reply()
    send()

    for each in (line, other):
        assert {delivery.state for delivery in each.deliveries()} == {"delivered"}
    assert other.deliveries()[0].tries.first().outcome == "interrupted"


def test_a_claim_whose_lease_ran_out_writes_nothing_of_the_endpoint(line):
    happen()
    outbox.hand_out()
    [claim] = ledger.claim_endpoints(5)
    errand = ledger.begin(claim)
    assert errand is not None
    assert ledger.claim_endpoints(5) == []
    WebhookEndpoint.objects.update(lease_until=timezone.now() - timedelta(seconds=1))

    assert send().accepted == 2  # somebody else's, while the first slept
    ledger.record(errand, post.Answer(Outcome.TIMED_OUT, timedelta(seconds=9)))

    assert ledger.begin(claim) is None
    assert line.now().failures == 0
    assert {each.state for each in line.deliveries()} == {"delivered"}
    assert [each.outcome for each in line.deliveries()[0].tries.all()] == ["timed_out", "accepted"]


def test_old_deliveries_are_forgotten_and_overdue_ones_given_up(line):
    happen(3)
    send()
    WebhookDelivery.objects.filter(sequence__lte=2).update(
        created_at=timezone.now() - timedelta(days=31)
    )
    replay(line.endpoint.deliveries.filter(sequence=4), by="admin")
    WebhookDelivery.objects.pending().update(give_up_at=timezone.now())

    report = upkeep.tidy()

    assert (report.given_up, report.forgotten) == (1, 2)
    assert [each.sequence for each in line.deliveries()] == [3, 4, 5, 6]
    assert WebhookAttempt.objects.count() == 4
    endpoints.remove_endpoint(line.endpoint.id, by="admin")
    WebhookDelivery.objects.update(created_at=timezone.now() - timedelta(days=31))
    assert upkeep.tidy().endpoints == 1


def test_what_a_delivery_costs_does_not_grow(line):
    def statements(times: int) -> int:
        happen(times)
        outbox.hand_out()
        with CaptureQueriesContext(connection) as captured:
            send()
        return len(captured)

    statements(1)
    few, many = statements(1), statements(4)
    assert (many - few) / 6 <= 17  # twelve, and two transactions


def test_endpoints_that_may_not_be_sent_to_are_refused_when_made(settings):
    settings.WEBHOOK_ALLOW_PRIVATE = False
    with pytest.raises(ValueError, match="open Internet"):
        make_endpoint(url="https://127.0.0.1/", events=[EventType.BATCH_FINISHED], by="a")
    assert not WebhookEndpoint.objects.exists()
