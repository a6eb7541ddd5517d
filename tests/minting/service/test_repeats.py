"""Keys: one request at a time, one row, and forgotten in time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from threading import Event, Thread
from types import SimpleNamespace
from unittest.mock import patch

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from minting import journal
from minting.journal import KeyedRequest
from minting.journal.phase import OutsideTransactionError
from minting.models import IdempotencyKey
from minting.schedules import SCHEDULES
from minting.service.requests import repeats
from minting.tasks import forget_keys
from tests.factories.readings import MeterReadingFactory
from tests.minting.api.history import queued_batch

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def request_() -> KeyedRequest:
    user = User.objects.create_user("gateway")
    return KeyedRequest(user.pk, "mint-batch", "k", "f" * 64)


def keep(request: KeyedRequest) -> None:
    with transaction.atomic():
        journal.keep_answer(request, status=200, answer="{}")


@contextmanager
def elsewhere(request: KeyedRequest) -> Iterator[tuple[bool, Thread]]:
    """Another session runs this request; told is whether it was allowed to."""
    told: list[bool] = []
    tried, over = Event(), Event()

    def run() -> None:
        try:
            with repeats.alone(request) as alone:
                told.append(alone)
                tried.set()
                over.wait(30)
        finally:
            connection.close()

    thread = Thread(target=run)
    thread.start()
    try:
        assert tried.wait(30)
        yield told[0], thread
    finally:
        over.set()
        thread.join()


def test_one_session_at_a_time(request_):
    with elsewhere(request_) as (allowed, _thread):
        assert allowed
        with repeats.alone(request_) as alone:
            assert not alone
    with repeats.alone(request_) as alone:
        assert alone


def test_who_was_refused_lets_nothing_go(request_):
    with elsewhere(request_):
        for _ in range(2):
            with repeats.alone(request_) as alone:
                assert not alone


@pytest.mark.parametrize("other", [{"user_id": 0}, {"endpoint": "reading-list"}, {"key": "K"}])
def test_other_keys_do_not_wait(request_, other):
    with elsewhere(request_), repeats.alone(replace(request_, **other)) as alone:
        assert alone


def test_an_error_lets_go(request_):
    with pytest.raises(ZeroDivisionError), repeats.alone(request_):
        raise ZeroDivisionError
    with elsewhere(request_) as (allowed, _thread):
        assert allowed


def test_a_broken_session_lets_go(request_):
    with repeats.alone(request_) as alone:
        assert alone
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            (pid,) = cursor.fetchone()
        with elsewhere(replace(request_, key="of the one that ends us")):
            pass
        _terminate(pid)
    with elsewhere(request_) as (allowed, _thread):
        assert allowed
    assert repeats.find(request_) is None


def _terminate(pid: int) -> None:
    def run() -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        finally:
            connection.close()

    thread = Thread(target=run)
    thread.start()
    thread.join()


def test_a_key_is_kept_once_and_with_its_effect(request_):
    batch = queued_batch([MeterReadingFactory()])
    with transaction.atomic():
        journal.keep_batch(request_, batch)

    with pytest.raises(IntegrityError), transaction.atomic():
        journal.keep_answer(request_, status=200, answer="{}")

    assert repeats.find(request_).batch == batch
    with pytest.raises(OutsideTransactionError):
        journal.keep_batch(request_, batch)


@pytest.mark.parametrize("outcome", [{"status": 200, "answer": ""}, {"answer": "{}"}, {}])
def test_a_row_without_an_answer_is_refused(request_, outcome):
    with pytest.raises(IntegrityError):
        IdempotencyKey.objects.create(
            user_id=request_.user_id, endpoint="x", key="k", fingerprint="f", **outcome
        )


# ------------------------------------------------------------------ forgetting


def age(request: KeyedRequest, **since: float) -> None:
    kept = IdempotencyKey.objects.filter(key=request.key)
    kept.update(created_at=timezone.now() - timedelta(**since))


def test_after_thirty_days_the_key_is_free(request_):
    young = replace(request_, key="young")
    for each in (request_, young):
        keep(each)
    age(request_, days=30, minutes=1)
    age(young, days=29, hours=23)

    assert forget_keys() == 1

    assert repeats.find(request_) is None
    assert repeats.find(young) is not None
    assert SCHEDULES["forget_keys"] == ("minting.tasks.forget_keys", 60)


def test_it_forgets_all_in_steps(request_):
    for number in range(7):
        keep(replace(request_, key=f"old {number}"))
    IdempotencyKey.objects.update(created_at="2020-01-01T00:00Z")

    with patch("minting.service.requests.repeats.ROWS_AT_ONCE", 3):
        assert repeats.forget_old() == 7
    assert not IdempotencyKey.objects.exists()


def test_a_pass_has_an_end(request_):
    for number in range(7):
        keep(replace(request_, key=f"old {number}"))
    IdempotencyKey.objects.update(created_at="2020-01-01T00:00Z")

    clock = SimpleNamespace(monotonic=iter([0.0, 1.0, 44.0, 46.0]).__next__)
    with (
        patch("minting.service.requests.repeats.ROWS_AT_ONCE", 3),
        patch("minting.service.requests.repeats.time", clock),
    ):
        assert repeats.forget_old() == 6


def test_keys_that_another_forgets_are_left_to_him(request_):
    keep(request_)
    age(request_, days=31)
    with transaction.atomic():
        list(IdempotencyKey.objects.select_for_update())
        counted: list[int] = []

        def run() -> None:
            try:
                counted.append(repeats.forget_old())
            finally:
                connection.close()

        thread = Thread(target=run)
        thread.start()
        thread.join(30)
    assert counted == [0]


def test_both_ways_to_keys_have_an_index(request_):
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO minting_idempotencykey
                (id, user_id, endpoint, key, fingerprint, status, answer, created_at)
            SELECT gen_random_uuid(), %s, 'mint-batch', 'k' || n, 'f', 200, '{}',
                   now() - make_interval(mins => n)
            FROM generate_series(1, 50000) n
            """,
            [request_.user_id],
        )
        cursor.execute("ANALYZE minting_idempotencykey")
    queries = (
        ("idempotency_key_used_once", {"user": request_.user_id, "key": "k7"}),
        ("idempotency_key_age", {"created_at__lt": timezone.now() - timedelta(days=30)}),
    )
    for index, condition in queries:
        rows = IdempotencyKey.objects.filter(endpoint="mint-batch", **condition)
        plan = rows.order_by("created_at")[:5].explain()
        assert index in plan
