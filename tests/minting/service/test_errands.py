"""Errands: done once, whoever dies, and told to whoever looks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from django_q.models import OrmQ

from minting import tasks
from minting.engine.errands import ErrandKind, ErrandStatus
from minting.models import Errand, MintBatch, MintSelection
from minting.service import nudges
from minting.service.drive.upkeep import release_the_dead, worker_name
from minting.service.requests import errands, works
from minting.service.requests.previewing import Summary, summarise
from minting.service.requests.selections import freeze
from readings.models import MeterReading
from tests.factories.readings import household, outsider, solar_farm

WORKER = "host:1"


@pytest.fixture
def person(db: None) -> User:
    return User.objects.create_user("operator")


@pytest.fixture
def selection(person: User) -> MintSelection:
    for resident in (household(), solar_farm()):
        for _ in range(2):
            resident.reading()
    outsider().reading(status="held", code="no_wallet")
    return freeze(MeterReading.objects.all(), person)


def run(errand: Errand, **kinds: errands.Work) -> str:
    told = errands.run(errand.pk, {**works.WORKS, **kinds}, worker=WORKER)
    errand.refresh_from_db()
    return told


def left_behind(errand: Errand) -> None:
    """Its worker is gone, and so is its lease."""
    Errand.objects.filter(pk=errand.pk).update(
        status=ErrandStatus.RUNNING,
        claim=uuid4(),
        claimed_by="host:2",
        lease_until=timezone.now() - timedelta(seconds=1),
    )


def test_a_worker_counts_what_a_page_would(minting_chain: Any, selection: MintSelection):
    errand = errands.ask(selection, ErrandKind.PREVIEW)
    assert errands.ask(selection, ErrandKind.PREVIEW) == errand
    assert [each.func() for each in OrmQ.objects.all()] == [nudges.ERRAND]

    assert tasks.run_errand(str(errand.pk)) == "done"

    errand.refresh_from_db()
    assert (errand.total, errand.claim, errand.lease_until) == (2, None, None)
    counted, here = Summary.of_json(errand.answer or {}), summarise(selection)
    assert counted == Summary.of_json({**here.as_json(), "made_at": counted.made_at})
    assert (counted.readings, counted.wallets, counted.kwh) == (4, 2, "1.000000000")
    assert [(each.code, each.count) for each in counted.left_out] == [("no_wallet", 1)]
    assert counted.costs.transactions == 1
    assert run(errand) == "nothing to do"


def test_a_worker_tells_how_far_it_is_and_stops_when_another_took_over(
    selection: MintSelection, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(errands, "BEAT", 0.0)
    errand = errands.ask(selection, ErrandKind.PREVIEW)
    seen = []

    def work(mine: Errand, beat: errands.Beat) -> dict[str, Any]:
        beat.begin(7)
        beat(3)
        errand.refresh_from_db()
        seen.append((errand.status, errand.done, errand.total))
        left_behind(errand)
        assert run(errand, preview=lambda *_: {"by": "the second"}) == "done"
        beat(4)
        raise AssertionError("it should have been stopped")

    assert run(errand, preview=work) == "lost"
    assert seen == [("running", 3, 7)]
    assert (errand.answer, errand.done, errand.starts) == ({"by": "the second"}, 3, 2)


def test_what_kills_its_workers_is_given_up_and_may_be_asked_anew(selection: MintSelection):
    errand = errands.ask(selection, ErrandKind.PREVIEW)

    def broken(*_: Any) -> dict[str, Any]:
        raise ZeroDivisionError

    for _ in range(errands.STARTS):
        with pytest.raises(ZeroDivisionError):
            run(errand, preview=broken)
        errand.refresh_from_db()
        assert errand.status == "waiting"
    assert run(errand) == "nothing to do"
    assert (errand.status, errand.error_code) == ("failed", "gave_up")

    again = errands.ask_anew(errand)
    assert (again.status, again.starts, again.error) == ("waiting", 0, "")
    assert OrmQ.objects.count() == 2


def test_a_refusal_is_told_in_its_words(
    minting_chain: Any, selection: MintSelection, settings: Any
):
    settings.TOKENIZATION_DECIMALS = 6
    errand = errands.ask(selection, ErrandKind.MINT)
    assert run(errand) == "failed"
    assert errand.error_code == "minting_refused"
    assert "decimals" in errand.error
    assert not MintBatch.objects.exists()


def test_who_looks_calls_a_worker_again_now_and_then(selection: MintSelection):
    errand = errands.ask(selection, ErrandKind.PREVIEW)
    OrmQ.objects.all().delete()  # the task is lost
    errands.call_if_left(errand)
    assert not OrmQ.objects.exists()
    Errand.objects.update(called_at=timezone.now() - errands.CALLED_AGAIN)
    errands.call_if_left(errand)
    errands.call_if_left(errand)
    assert OrmQ.objects.count() == 1
    left_behind(errand)
    Errand.objects.update(lease_until=timezone.now() + timedelta(minutes=1))
    Errand.objects.update(called_at=timezone.now() - errands.CALLED_AGAIN)
    errands.call_if_left(errand)
    assert OrmQ.objects.count() == 1  # somebody works on it


def test_the_watchdog_frees_what_the_dead_held(selection: MintSelection):
    errand = errands.ask(selection, ErrandKind.PREVIEW)
    left_behind(errand)
    Errand.objects.update(
        claimed_by=worker_name(123), lease_until=timezone.now() + timedelta(minutes=1)
    )
    release_the_dead([456])
    errand.refresh_from_db()
    assert errand.status == "running"
    release_the_dead([123])
    errand.refresh_from_db()
    assert (errand.status, errand.claim) == ("waiting", None)
    assert OrmQ.objects.count() == 2  # and another one is called


def test_one_batch_whenever_its_worker_dies(minting_chain: Any, selection: MintSelection):
    errand = errands.ask(selection, ErrandKind.MINT)

    def dies_at_the_end(mine: Errand, beat: errands.Beat) -> dict[str, Any]:
        works.mint_errand(mine, beat)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(errand, mint=dies_at_the_end)
    left_behind(errand)
    assert run(errand) == "done"
    batch = MintBatch.objects.get()
    assert errand.answer == {"batch": str(batch.pk)}
    assert (batch.total_readings, batch.created_by.username) == (4, "operator")


def test_a_release_goes_on_where_its_worker_died(person: User, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(works, "RELEASED_AT_ONCE", 2)
    resident = household()
    for _ in range(4):
        resident.reading(status="held", code="reading_too_large", kwh_amount=200)
    outsider().reading(status="held", code="no_wallet")
    resident.reading()
    errand = errands.ask(
        freeze(MeterReading.objects.all(), person), ErrandKind.RELEASE, reason="a farm"
    )

    def dies(mine: Errand, beat: errands.Beat) -> dict[str, Any]:
        genuine = beat.keep
        told: list[int] = []

        def keep(done: int, answer: dict[str, Any]) -> None:
            if told:
                raise KeyboardInterrupt
            genuine(done, answer)
            told.append(done)

        monkeypatch.setattr(beat, "keep", keep)
        return works.release_errand(mine, beat)

    with pytest.raises(KeyboardInterrupt):
        run(errand, release=dies)
    left_behind(errand)
    assert run(errand) == "done"

    assert (errand.done, errand.total) == (6, 6)
    assert errand.answer["left"] == {"no_wallet": 1, "not_held": 1}
    released = MeterReading.objects.exclude(released_at=None)
    assert released.count() == 4
    assert {(each.released_by, each.release_reason) for each in released} == {(person, "a farm")}
