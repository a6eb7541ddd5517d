"""Owners' wallets and meters' holders: registered and retired, never edited in place."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from solders.pubkey import Pubkey

from readings.errors import (
    AlreadyRegistered,
    InvalidWallet,
    OverlappingAssignment,
    ReasonRequired,
    RegistryError,
)
from readings.intake.holding import rejudge
from readings.models import Meter, MeterAssignment, MeterReading, Owner, Wallet
from readings.rules import ReadingCode


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
) -> Wallet:
    """Makes ``address`` the owner's current wallet, retires the one before, judges what waited.

    The current wallet registered again is answered as it is. Batches that exist keep the wallet
    they were created with.

    Raises:
        InvalidWallet: Not an address, or off the curve without permission.
        ReasonRequired: An exception without a reason.
    """
    wanted = {
        "address": check_wallet(
            address=address,
            allow_off_curve=allow_off_curve,
            allow_program_owned=allow_program_owned,
            exception_reason=exception_reason,
        ),
        "allow_off_curve": allow_off_curve,
        "allow_program_owned": allow_program_owned,
        "exception_reason": exception_reason.strip(),
    }
    with transaction.atomic():
        _lock_owner(owner)
        current = owner.wallets.current().first()
        if current and all(getattr(current, name) == value for name, value in wanted.items()):
            return current
        _retire(owner)
        wallet = Wallet.objects.create(owner=owner, **wanted)
        rejudge(MeterReading.objects.held(ReadingCode.NO_WALLET).filter(owner=owner))
    return wallet


def check_wallet(
    *,
    address: str,
    allow_off_curve: bool = False,
    allow_program_owned: bool = False,
    exception_reason: str = "",
) -> str:
    """The address as it would be registered, without registering it.

    Raises:
        InvalidWallet: Not an address, or off the curve without permission.
        ReasonRequired: An exception without a reason.
    """
    try:
        key = Pubkey.from_string(address.strip())
    except ValueError:
        raise InvalidWallet("A wallet is a Solana address: 32 bytes in base58") from None
    if not (allow_off_curve or key.is_on_curve()):
        raise InvalidWallet(
            "This address is off the curve: it belongs to a program, and nobody holds its key"
        )
    if (allow_off_curve or allow_program_owned) and not exception_reason.strip():
        raise ReasonRequired("A wallet with an exception")
    return str(key)


def retire_wallet(*, owner: Owner) -> None:
    """Leaves the owner without a wallet; what is pending is held until there is one."""
    with transaction.atomic():
        _lock_owner(owner)
        _retire(owner)
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
        _lock_owner(owner)
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


def _lock_owner(owner: Owner) -> None:
    Owner.objects.select_for_update(no_key=True).get(id=owner.id)


def _retire(owner: Owner) -> None:
    # Saved one by one (there is one at most), so that the change log sees it.
    for wallet in owner.wallets.current():
        wallet.retired_at = timezone.now()
        wallet.save(update_fields=["retired_at"])
