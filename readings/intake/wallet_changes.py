"""A second person's word about a changed wallet: asked for, given, refused, taken back, too late.

Every step is taken under the owner's lock, so that of two at once one sees what the other did; only
the clock takes none, and passes by what somebody else has in hand.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from readings.conf import second_person
from readings.errors import ReasonRequired, WalletChangeConflict
from readings.intake.wallets import Wanted, check_wallet, lock_owner, put_wallet
from readings.models import ImportFile, Owner, Wallet, WalletChange
from readings.second_person import CHANGE_MOVES, ChangeStatus, ChangeWay, change_digest

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

log = structlog.get_logger(__name__)

EXPIRED_AT_ONCE = 1_000
"""A file may have asked for tens of thousands; the next minute ends the next ones."""

OVERTAKEN = "Another wallet was asked for"
RETIRED = "The wallet that it was to replace was retired"
CHANGED = "The wallet was changed while nobody had to be asked"


@dataclass(frozen=True, slots=True)
class Asker:
    """Who wants a wallet, and by which way."""

    by: AbstractBaseUser | None = None
    """Nobody: a command."""
    way: ChangeWay = ChangeWay.COMMAND
    file: ImportFile | None = None


def needs_second_person(owner: Owner) -> bool:
    """Whether another wallet of this owner waits: never the very first one."""
    return second_person().is_on and owner.wallets.exists()


def propose(owner: Owner, wanted: Wanted, asker: Asker) -> WalletChange:
    """The request that waits from now on, or waited before; the owner is locked.

    The same again is answered with the one that stands, whoever asked for it. Another one takes its
    place.
    """
    current = owner.wallets.current().first()
    standing = _standing(owner)
    if standing is not None:
        if stands_for(standing, wanted, current):
            return standing
        end_overtaken(standing, OVERTAKEN, asker.by)
        standing.save()
    change = new_change(owner, wanted, current, asker)
    change.save(force_insert=True)
    log.info(
        "wallet_change_proposed", change_id=str(change.id), owner=owner.user_id, way=change.way
    )
    return change


def stands_for(change: WalletChange, wanted: Wanted, current: Wallet | None) -> bool:
    """Whether a request says just this, of the wallet of now, and has time left."""
    return (
        wanted.is_like(change)
        and change.old_wallet_id == (current.id if current else None)
        and change.expires_at > timezone.now()
    )


def new_change(owner: Owner, wanted: Wanted, current: Wallet | None, asker: Asker) -> WalletChange:
    """A request, not stored yet."""
    now = timezone.now()
    return WalletChange(
        owner=owner,
        old_wallet=current,
        **wanted.fields,
        way=asker.way.value,
        import_file=asker.file,
        proposed_by_id=asker.by.pk if asker.by else None,
        proposed_at=now,
        expires_at=now + second_person().expires_after,
    )


def end_overtaken(change: WalletChange, reason: str, by: AbstractBaseUser | None) -> None:
    """Something else came first, or its time was over; the caller saves it."""
    late = change.expires_at <= timezone.now()
    _end(
        change,
        ChangeStatus.EXPIRED if late else ChangeStatus.WITHDRAWN,
        by=None if late else by,
        reason="" if late else reason,
    )


def overtake(owner: Owner, reason: str, by: AbstractBaseUser | None) -> None:
    """Withdraws what waits, because the wallet that it replaces is gone; the owner is locked."""
    standing = _standing(owner)
    if standing is not None:
        end_overtaken(standing, reason, by)
        standing.save()


def digest_of(change: WalletChange, *, but_for: Collection[UUID] = ()) -> str:
    """Of what a second person is shown, as it is now.

    Args:
        change: The request.
        but_for: Owners who came to the same address by this person's word, a moment ago.
    """
    return change_digest(
        change_id=change.id,
        old_wallet=change.old_wallet_id,
        address=change.address,
        allowed=(change.allow_off_curve, change.allow_program_owned),
        also_paid=[owner.id for owner in also_paid_at(change) if owner.id not in but_for],
    )


def also_paid_at(change: WalletChange) -> QuerySet[Owner]:
    """Other owners whose wallet the new address is, too: a landlord's, or a stranger's."""
    theirs = Wallet.objects.current().filter(address=change.address).values("owner")
    return Owner.objects.filter(id__in=theirs).exclude(id=change.owner_id).order_by("user_id")


@transaction.atomic
def approve_wallet_change(
    change_id: UUID,
    *,
    by: AbstractBaseUser,
    digest: str,
    reason: str = "",
    along_with: Collection[UUID] = (),
) -> Wallet:
    """From this commit on the owner is paid at the new wallet.

    Whether this person may approve at all is the caller's question.

    Args:
        change_id: The request.
        by: Never who asked for it.
        digest: Of what this person was shown.
        reason: A remark.
        along_with: Owners approved with the same confirmation, which showed them all: that a
            landlord's flats follow each other to one address is no surprise.

    Raises:
        WalletChange.DoesNotExist: There is no such request.
        WalletChangeConflict: It is decided, expired or overtaken, ``by`` asked for it, or things
            are not what was shown.
        InvalidWallet: The address may not be paid.
    """
    change = _open(change_id)
    _require_another(change, by)
    current = change.owner.wallets.current().first()
    if change.old_wallet_id != (current.id if current else None):
        raise WalletChangeConflict("the owner's wallet is not the one that was to be replaced")
    if digest_of(change, but_for=along_with) != digest:
        raise WalletChangeConflict("what was shown is not what is asked now")
    wanted = Wanted(
        change.address, change.allow_off_curve, change.allow_program_owned, change.exception_reason
    )
    check_wallet(**wanted.fields)
    change.wallet = put_wallet(change.owner, wanted)
    _decide(change, ChangeStatus.APPROVED, by=by, reason=reason)
    return change.wallet


@transaction.atomic
def refuse_wallet_change(change_id: UUID, *, by: AbstractBaseUser, reason: str) -> WalletChange:
    """A second person says no; the owner goes on being paid as before.

    Raises:
        WalletChange.DoesNotExist: There is no such request.
        ReasonRequired: Whoever asked is told why.
        WalletChangeConflict: It is decided or expired, or ``by`` asked for it.
    """
    if not reason.strip():
        raise ReasonRequired("A refusal")
    change = _open(change_id)
    _require_another(change, by)
    _decide(change, ChangeStatus.REFUSED, by=by, reason=reason.strip())
    return change


@transaction.atomic
def withdraw_wallet_change(
    change_id: UUID, *, by: AbstractBaseUser | None, reason: str = ""
) -> WalletChange:
    """Takes a request back, whoever made it; withdrawn already, it stays so.

    Raises:
        WalletChange.DoesNotExist: There is no such request.
        WalletChangeConflict: It is decided or expired.
    """
    change = _locked(change_id)
    if change.status != ChangeStatus.WITHDRAWN:
        _require_open(change)
        _decide(change, ChangeStatus.WITHDRAWN, by=by, reason=reason.strip())
    return change


@transaction.atomic
def expire_wallet_changes() -> int:
    """Ends what nobody decided about in time; returns how many."""
    late = WalletChange.objects.proposed().filter(expires_at__lte=Now()).order_by("id")
    free = late.select_related("owner").select_for_update(skip_locked=True, of=("self",))
    ended = list(free[:EXPIRED_AT_ONCE])
    for change in ended:
        _decide(change, ChangeStatus.EXPIRED, by=None, reason="")
    return len(ended)


def _standing(owner: Owner) -> WalletChange | None:
    """The owner's request, locked; the owner is locked, but the clock does not ask for that."""
    return WalletChange.objects.proposed().filter(owner=owner).select_for_update().first()


def _locked(change_id: UUID) -> WalletChange:
    """A request, its owner locked before it, as everybody who needs both does."""
    lock_owner(WalletChange.objects.select_related("owner").get(id=change_id).owner)
    rows = WalletChange.objects.select_related("owner", "import_file")
    return rows.select_for_update(of=("self",)).get(id=change_id)


def _open(change_id: UUID) -> WalletChange:
    change = _locked(change_id)
    _require_open(change)
    return change


def _require_open(change: WalletChange) -> None:
    if change.status != ChangeStatus.PROPOSED:
        raise WalletChangeConflict(f"the request is {change.status} already")
    if change.expires_at <= timezone.now():
        raise WalletChangeConflict("the request has expired")


def _require_another(change: WalletChange, by: AbstractBaseUser) -> None:
    if by.pk in askers_of(change):
        raise WalletChangeConflict("whoever asked for a wallet cannot decide about it")


def askers_of(change: WalletChange) -> frozenset[int]:
    """Users who asked: of a file both who confirmed it and who brought it."""
    brought_by = change.import_file.brought_by_id if change.import_file else None
    return frozenset(each for each in (change.proposed_by_id, brought_by) if each is not None)


def _end(
    change: WalletChange, status: ChangeStatus, *, by: AbstractBaseUser | None, reason: str
) -> None:
    old = ChangeStatus(change.status)
    if (old, status) not in CHANGE_MOVES:
        raise WalletChangeConflict(f"the request is {old} already")
    change.status = status.value
    change.decided_by_id = by.pk if by else None
    change.decided_at = timezone.now()
    change.reason = reason


def _decide(
    change: WalletChange, status: ChangeStatus, *, by: AbstractBaseUser | None, reason: str
) -> None:
    _end(change, status, by=by, reason=reason)
    change.save()
    log.info(
        "wallet_change_decided",
        change_id=str(change.id),
        owner=change.owner.user_id,
        decision=status.value,
        by=by.get_username() if by else "",
    )
