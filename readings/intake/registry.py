"""Owners' wallets and meters' holders: registered and retired, never edited in place."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.db.models import Q

from readings.errors import AlreadyRegistered, OverlappingAssignment, RegistryError
from readings.intake.holding import rejudge
from readings.intake.wallet_changes import (
    CHANGED,
    RETIRED,
    Asker,
    needs_second_person,
    overtake,
    propose,
)
from readings.intake.wallets import Wanted, check_wallet, lock_owner, put_wallet, take_wallet
from readings.models import Meter, MeterAssignment, MeterReading, Owner, Wallet, WalletChange

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

A_COMMAND = Asker()


def register_owner(*, user_id: str, name: str, email: str = "") -> Owner:
    """A new owner, without wallet and meters yet.

    Raises:
        AlreadyRegistered: The ``user_id`` is taken.
    """
    try:
        with transaction.atomic():
            return Owner.objects.create(user_id=user_id, name=name, email=email)
    except IntegrityError:
        taken = Owner.objects.get(user_id=user_id)
        raise AlreadyRegistered("An owner with user_id", user_id, taken.id) from None


def register_meter(*, serial: str, **described: Any) -> Meter:
    """A new meter, which nobody holds yet.

    Args:
        serial: Clients name it by this, for good.
        described: ``name``, ``location``, ``interval_seconds``.

    Raises:
        AlreadyRegistered: The serial is taken.
    """
    try:
        with transaction.atomic():
            return Meter.objects.create(serial=serial, **described)
    except IntegrityError:
        taken = Meter.objects.get(serial=serial)
        raise AlreadyRegistered("A meter with serial", serial, taken.id) from None


def register_wallet(
    *,
    owner: Owner,
    address: str,
    allow_off_curve: bool = False,
    allow_program_owned: bool = False,
    exception_reason: str = "",
    asker: Asker = A_COMMAND,
) -> Wallet | WalletChange:
    """Makes ``address`` the owner's current wallet, retires the one before, judges what waited.

    With four eyes on, that waits for a second person where the owner has or ever had a wallet. The
    current wallet registered again is answered as it is. Batches that exist keep the wallet they
    were created with.

    Returns:
        The wallet, or the request that waits.

    Raises:
        InvalidWallet: Not an address, or off the curve without permission.
        ReasonRequired: An exception without a reason.
    """
    wanted = Wanted(
        check_wallet(
            address=address,
            allow_off_curve=allow_off_curve,
            allow_program_owned=allow_program_owned,
            exception_reason=exception_reason,
        ),
        allow_off_curve,
        allow_program_owned,
        exception_reason.strip(),
    )
    with transaction.atomic():
        lock_owner(owner)
        current = owner.wallets.current().first()
        if current is not None and wanted.is_like(current):
            return current
        if needs_second_person(owner):
            return propose(owner, wanted, asker)
        overtake(owner, CHANGED, asker.by)
        return put_wallet(owner, wanted)


def retire_wallet(*, owner: Owner, by: AbstractBaseUser | None = None) -> None:
    """Leaves the owner without a wallet; what is pending is held until there is one.

    Done at once, four eyes or not: nobody is paid by it, and a stolen key does not wait.
    """
    with transaction.atomic():
        lock_owner(owner)
        overtake(owner, RETIRED, by)
        take_wallet(owner)
        rejudge(MeterReading.objects.mintable().filter(owner=owner))


def assign_meter(
    *, meter: Meter, owner: Owner, starts_at: datetime, ends_at: datetime | None = None
) -> MeterAssignment:
    """Says who holds a meter, and ends the open assignment before, if there is one.

    An owner who holds the meter already goes on holding it: nothing changes.
    Readings keep the owner they got at intake; only such as had none, because nobody held the
    meter then, get this one.

    Raises:
        RegistryError: It ends before it starts.
        OverlappingAssignment: Somebody else holds the meter in that time.
    """
    if ends_at is not None and ends_at <= starts_at:
        raise RegistryError("An assignment must end after it starts")
    with transaction.atomic():
        Meter.objects.select_for_update(no_key=True).get(id=meter.id)
        lock_owner(owner)
        before = meter.assignments.filter(ends_at=None, starts_at__lte=starts_at)
        if ends_at is None and (same := before.filter(owner=owner).first()):
            return same
        for open_one in before.exclude(starts_at=starts_at):
            _end(open_one, starts_at)
        others = meter.assignments.filter(Q(ends_at=None) | Q(ends_at__gt=starts_at))
        if ends_at is not None:
            others = others.filter(starts_at__lt=ends_at)
        if others.exists():
            raise OverlappingAssignment(meter.serial, starts_at)
        assignment = MeterAssignment.objects.create(
            meter=meter, owner=owner, starts_at=starts_at, ends_at=ends_at
        )
        adopt_readings(assignment)
    return assignment


def unassign_meter(*, meter: Meter, ends_at: datetime) -> None:
    """Says that nobody holds a meter from then on: what it measures later is held.

    Raises:
        RegistryError: Its holder's time began later.
    """
    with transaction.atomic():
        Meter.objects.select_for_update(no_key=True).get(id=meter.id)
        current = meter.assignments.filter(ends_at=None).first()
        if current is None:
            return
        if ends_at <= current.starts_at:
            raise RegistryError("An assignment must end after it starts")
        _end(current, ends_at)


def _end(assignment: MeterAssignment, at: datetime) -> None:
    """By a save, not an update: what changes in the registry is logged row by row."""
    assignment.ends_at = at
    assignment.save(update_fields=["ends_at"])


def adopt_readings(assignment: MeterAssignment) -> int:
    """Gives readings that had nobody to whoever, as is now known, held their meter.

    Returns:
        How many are judged otherwise now.
    """
    orphans = MeterReading.objects.filter(
        meter=assignment.meter_id, owner=None, period_end__gt=assignment.starts_at
    )
    if assignment.ends_at is not None:
        orphans = orphans.filter(period_end__lte=assignment.ends_at)
    locked = orphans.select_for_update(no_key=True).order_by("id")
    adopted = MeterReading.objects.filter(id__in=list(locked.values_list("id", flat=True)))
    adopted.update(owner=assignment.owner_id)
    return rejudge(adopted)
