"""What the tables themselves refuse, whoever writes."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from readings.models import MeterReading
from readings.rules import PeriodKind
from tests.factories.readings import (
    LONG_AGO,
    MeterAssignmentFactory,
    MeterFactory,
    MeterReadingFactory,
    OwnerFactory,
    WalletFactory,
    keypair,
)

pytestmark = pytest.mark.django_db


def refused(name):
    return pytest.raises(IntegrityError, match=name)


@pytest.mark.parametrize(
    ("constraint", "fields"),
    [
        ("reading_ends_after_start", {"period_start": timezone.now()}),
        ("reading_revision_from_1", {"revision": 0}),
        ("reading_status_known", {"status": "lost"}),
        ("reading_period_kind_known", {"period_kind": "moment"}),
        ("reading_verification_known", {"verification": "maybe"}),
        ("reading_code_where_due", {"status": "held"}),
        ("reading_code_where_due", {"status": "not_minted"}),
        ("reading_code_where_due", {"status": "pending", "code": "no_wallet"}),
        ("reading_code_where_due", {"status": "minted", "code": "no_wallet"}),
        ("reading_only_export_is_minted", {"kwh_amount": Decimal(0)}),
        ("reading_only_export_is_minted", {"kwh_amount": Decimal(-1), "status": "minted"}),
        ("reading_release_has_reason", {"released_at": timezone.now()}),
        ("reading_release_has_reason", {"release_reason": "Because"}),
    ],
)
def test_a_reading_that_cannot_be(household, constraint, fields):
    with refused(constraint), transaction.atomic():
        household.reading(**fields)


@pytest.mark.parametrize("kind", list(PeriodKind))
def test_a_reading_is_told_once(household, kind):
    first = household.reading(period_kind=kind.value)
    told = {"period_end": first.period_end, "period_kind": kind.value}
    if kind is PeriodKind.TIMESTAMP:
        told["period_start"] = first.period_start - timedelta(minutes=1)
    with refused("reading_one_current"), transaction.atomic():
        household.reading(**told, revision=2)
    old = {"is_current": False, "status": "not_minted", "code": "superseded"}
    with refused("reading_identity_revision"), transaction.atomic():
        household.reading(**told, **old)
    household.reading(**told, **old, revision=2)


def test_the_same_end_may_be_told_both_ways(household):
    first = household.reading()
    household.reading(period_end=first.period_end, period_kind=PeriodKind.TIMESTAMP.value)
    household.reading(
        period_end=first.period_end, period_start=first.period_start - timedelta(minutes=1)
    )


def test_an_owner_has_one_current_wallet(household):
    with refused("wallet_one_current_per_owner"), transaction.atomic():
        WalletFactory(owner=household.owner)
    WalletFactory(owner=household.owner, retired_at=timezone.now() + timedelta(hours=1))


def test_a_wallets_exception_has_a_reason(db):
    with refused("wallet_exception_has_reason"), transaction.atomic():
        WalletFactory(allow_off_curve=True)
    WalletFactory(allow_off_curve=True, exception_reason="A vault")


def test_a_meter_has_one_open_assignment(household):
    with refused("assignment_one_open_per_meter"), transaction.atomic():
        MeterAssignmentFactory(meter=household.meter, starts_at=LONG_AGO + timedelta(days=1))


def test_an_assignment_ends_after_it_starts(db):
    with refused("assignment_ends_after_start"), transaction.atomic():
        MeterAssignmentFactory(ends_at=LONG_AGO)


@pytest.mark.parametrize("seconds", [0, 86_401])
def test_an_interval_is_sensible(db, seconds):
    with refused("meter_interval_is_sensible"), transaction.atomic():
        MeterFactory(interval_seconds=seconds)


def test_names_are_given_and_unique(household):
    with refused("owner_user_id_given"), transaction.atomic():
        OwnerFactory(user_id="")
    with refused("user_id"), transaction.atomic():
        OwnerFactory(user_id="anong")
    with refused("meter_serial_given"), transaction.atomic():
        MeterFactory(serial="")
    with refused("serial"), transaction.atomic():
        MeterFactory(serial="HOUSE-1")


def test_questions_have_names(household):
    pending = household.reading()
    held = household.reading(status="held", code="unverified")
    minted = household.reading(status="minted", is_current=False)
    objects = MeterReading.objects
    assert set(objects.current()) == {pending, held}
    assert set(objects.mintable()) == {pending}
    assert set(objects.undecided()) == {pending, held}
    assert set(objects.held()) == set(objects.held("unverified")) == {held}
    assert not objects.held("no_wallet").exists()
    assert set(objects.minted()) == {minted}
    assert (
        objects.with_wallet_address().get(id=pending.id).owner_wallet_address
        == household.wallet.address
    )


def test_lists_of_a_million_rows_have_their_index(household):
    """The planner is told that reading everything is dear, as it is with a million rows."""
    MeterReadingFactory.create_batch(3, owner=household.owner, meter=household.meter)
    lists = {
        "reading_newest": MeterReading.objects.order_by("-submitted_at", "-id"),
        "reading_unminted": MeterReading.objects.filter(status="held").order_by(
            "-submitted_at", "-id"
        ),
        "reading_by_owner": MeterReading.objects.filter(owner=household.owner).order_by(
            "-period_end"
        ),
        "reading_identity_revision": MeterReading.objects.filter(meter=household.meter).order_by(
            "-period_end"
        ),
        "reading_by_external_id": MeterReading.objects.filter(external_id="a").exclude(
            external_id=""
        ),
        "reading_pending": MeterReading.objects.mintable().order_by("owner", "id"),
    }
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
    for index, readings in lists.items():
        assert index in readings[:50].explain(), index


def test_texts_for_people(household):
    reading = household.reading()
    assert str(household.owner) == "Anong Srisuk (anong)"
    assert str(household.wallet) == str(keypair("anong").pubkey())
    assert str(household.meter) == "HOUSE-1"
    assert "HOUSE-1 held by Anong Srisuk" in str(household.meter.assignments.get())
    assert str(reading).startswith(f"HOUSE-1, {reading.period_start:%Y-%m-%d %H:%M} to ")
    assert household.meter.interval == timedelta(minutes=15)


def test_migrations_say_what_the_models_say(db):
    call_command("makemigrations", "readings", check=True, dry_run=True, verbosity=0)
