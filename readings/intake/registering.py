"""The registry by the thousand: the rules of ``registry``, in as many statements as for one.

Owners and meters are locked in the order of their ids before anything is compared. What a file asks
for is worked out in memory, then written in bulk: nothing is written for what is so already.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db.models import Model
from django.utils import timezone

from readings.conf import second_person
from readings.errors import ReadingError, RegistryError
from readings.formats.registry import Entry
from readings.intake.assigning import assignments_of, ending
from readings.intake.holding import rejudge
from readings.intake.registered import RETIRED, Change, Earlier, Registered
from readings.intake.registry import A_COMMAND, adopt_readings
from readings.intake.wallet_changes import (
    CHANGED,
    OVERTAKEN,
    Asker,
    end_overtaken,
    new_change,
    stands_for,
)
from readings.intake.wallets import Wanted, check_wallet
from readings.models import Meter, MeterAssignment, MeterReading, Owner, Wallet, WalletChange
from readings.rules import ReadingCode

AT_ONCE = 2_000
"""Rows of one statement."""

FIELDS: dict[type[Model], dict[str, str]] = {
    Owner: {"name": "name", "email": "email"},
    Meter: {"meter_name": "name", "location": "location", "interval": "interval_seconds"},
}
"""Of an entry → of the row."""


HANGS_ON: dict[type[Model], str] = {
    Wallet: "owner",
    WalletChange: "owner",
    MeterAssignment: "meter",
}

WRITTEN: dict[type[Model], list[str]] = {
    **{model: list(names.values()) for model, names in FIELDS.items()},
    MeterAssignment: ["ends_at"],
    WalletChange: ["status", "decided_by", "decided_at", "reason"],
}
"""Columns of rows that were there and are different now."""


def register_many(
    entries: Sequence[Entry], asker: Asker = A_COMMAND, earlier: Earlier | None = None
) -> Registered:
    """Registers what the entries ask for, but for such as cannot be; call inside a transaction.

    With four eyes on, wallets that would replace another one are asked for, not registered.

    Args:
        entries: In the order of their lines; all of a file, or a part of it.
        asker: Whose word they are.
        earlier: Of the parts before; what later ones must know is added.

    Returns:
        What changed, and what is wrong with which entry; an entry with a problem did nothing.
    """
    return _Registration(entries, asker, earlier or Earlier()).run()


class _Registration:
    def __init__(self, entries: Sequence[Entry], asker: Asker, earlier: Earlier) -> None:
        self._entries = entries
        self._asker = asker
        self._earlier = earlier
        self._done = Registered()
        self._now = timezone.now()
        self._meters = _locked(Meter, "serial", {each.serial for each in entries if each.serial})
        self._owners = _locked(Owner, "user_id", {each.user_id for each in entries if each.user_id})
        owners = [each.id for each in self._owners.values()]
        self._wallets = {
            wallet.owner_id: wallet for wallet in Wallet.objects.current().filter(owner__in=owners)
        }
        self._guarded = _guarded(owners)
        self._standing = {
            change.owner_id: change
            for change in WalletChange.objects.proposed()
            .filter(owner__in=owners)
            .select_for_update()
            .order_by("id")
        }
        self._held = assignments_of([each.id for each in self._meters.values()])
        self._changed: dict[type[Model], dict[UUID, Any]] = defaultdict(dict)
        self._new: dict[type[Model], list[Any]] = defaultdict(list)
        self._retired: list[UUID] = []

    def run(self) -> Registered:
        for entry in self._entries:
            try:
                self._check(entry)
                self._assign(entry, *self._register(entry))
            except ReadingError as error:
                self._done.problems.append((entry, error))
        self._write()
        self._judge()
        self._earlier.keep([*self._new[Owner], *self._new[Meter]])
        return self._done

    # What an entry asks for

    def _check(self, entry: Entry) -> None:
        """All that can be wrong with owner, wallet and meter, before anything is done."""
        if entry.email:
            try:
                validate_email(entry.email)
            except ValidationError:
                raise RegistryError(f"{entry.email!r} is no address of mail") from None
        if entry.wallet:
            check_wallet(address=entry.wallet)
        if entry.user_id and entry.user_id not in self._owners and not entry.name:
            raise RegistryError(f"Owner {entry.user_id} is new and needs a name")
        self._check_meeting(entry)
        self._agree(entry)

    def _check_meeting(self, entry: Entry) -> None:
        """Whether this owner may hold this meter then; assigns nothing."""
        if not (entry.user_id and entry.serial):
            return
        meter, owner = self._meters.get(entry.serial), self._owners.get(entry.user_id)
        held = self._held[meter.id] if meter else []
        if entry.held_from is not None:
            ending(held, entry, owner.id if owner else None)
        elif owner is None or not any(
            each.owner_id == owner.id and each.ends_at is None for each in held
        ):
            raise RegistryError(
                f"From when {entry.user_id} holds meter {entry.serial} is not said (held_from)"
            )

    def _agree(self, entry: Entry) -> None:
        """No two lines may tell one owner or meter otherwise.

        Raises:
            RegistryError: An earlier line does.
        """
        mine = [
            ((what, key, name), getattr(entry, name))
            for what, key, names in (
                ("Owner", entry.user_id, ("name", "email", "wallet")),
                ("Meter", entry.serial, tuple(FIELDS[Meter])),
            )
            for name in names
            if getattr(entry, name)
        ]
        for (what, key, name), value in mine:
            line, told = self._earlier.told.get((what, key, name), (0, value))
            if told != value:
                raise RegistryError(
                    f"{what} {key}: line {line:,} tells another {name.replace('_', ' ')}"
                )
        for place, value in mine:
            self._earlier.told.setdefault(place, (entry.line, value))

    def _register(self, entry: Entry) -> tuple[Owner | None, Meter | None]:
        owner = meter = None
        if entry.user_id:
            owner = self._row(Owner, self._owners, {"user_id": entry.user_id}, entry)
            if entry.wallet:
                self._pay(entry, owner)
        if entry.serial:
            meter = self._row(Meter, self._meters, {"serial": entry.serial}, entry)
        return owner, meter

    def _row(
        self, model: type[Any], rows: dict[str, Any], key: dict[str, str], entry: Entry
    ) -> Any:
        """The owner or meter of an entry, made or changed as it says."""
        ((name_of_key, value),) = key.items()
        row = rows.get(value)
        if row is None:
            row = rows[value] = model(**key)
            self._new[model].append(row)
            self._note(entry, row, name_of_key, "", value)
        for told, name in FIELDS[model].items():
            wanted, old = getattr(entry, told), getattr(row, name)
            if wanted and old != wanted:
                setattr(row, name, wanted)
                self._note(entry, row, name, "" if row._state.adding else old, wanted)
                if not row._state.adding:
                    self._changed[model][row.id] = row
        return row

    def _pay(self, entry: Entry, owner: Owner) -> None:
        address = check_wallet(address=entry.wallet)
        current = self._wallets.get(owner.id)
        if current is not None and current.address == address:
            return
        standing = self._standing.get(owner.id)
        if owner.id in self._guarded:
            self._propose(entry, owner, Wanted(address), standing)
            return
        if standing is not None:
            self._overtake(entry, standing, CHANGED)
        if current is not None:
            self._retired.append(current.id)
            self._note(entry, current, RETIRED, "", self._now)
        wallet = Wallet(owner=owner, address=address, registered_at=self._now)
        self._wallets[owner.id] = wallet
        self._new[Wallet].append(wallet)
        self._note(entry, wallet, "address", current.address if current else "", address)

    def _propose(
        self, entry: Entry, owner: Owner, wanted: Wanted, standing: WalletChange | None
    ) -> None:
        """As ``wallet_changes.propose``."""
        current = self._wallets.get(owner.id)
        if standing is not None:
            if stands_for(standing, wanted, current):
                return
            self._overtake(entry, standing, OVERTAKEN)
        change = self._standing[owner.id] = new_change(owner, wanted, current, self._asker)
        self._new[WalletChange].append(change)
        self._note(entry, change, "address", current.address if current else "", wanted.address)

    def _overtake(self, entry: Entry, standing: WalletChange, reason: str) -> None:
        end_overtaken(standing, reason, self._asker.by)
        del self._standing[standing.owner_id]
        self._changed[WalletChange][standing.id] = standing
        self._note(entry, standing, "status", "proposed", standing.status)

    def _assign(self, entry: Entry, owner: Owner | None, meter: Meter | None) -> None:
        if owner is None or meter is None or entry.held_from is None:
            return
        held = self._held[meter.id]
        ended = ending(held, entry, owner.id)
        if ended is None:
            return
        before = ""
        for each in ended:
            before = str(each.owner)
            each.ends_at = entry.held_from
            if not each._state.adding:
                self._changed[MeterAssignment][each.id] = each
                self._note(entry, each, "ends_at", "", entry.held_from)
        made = MeterAssignment(
            meter=meter, owner=owner, starts_at=entry.held_from, ends_at=entry.held_until
        )
        held.append(made)
        self._new[MeterAssignment].append(made)
        self._note(entry, made, "owner", before, owner)

    def _note(self, entry: Entry, row: Model, name: str, old: object, new: object) -> None:
        hangs_on = getattr(row, HANGS_ON.get(type(row), ""), row)
        self._done.changes.append(
            Change(
                entry.line,
                row,
                name,
                str(old),
                str(new),
                is_new=row._state.adding,
                is_of_new=hangs_on._state.adding or hangs_on.pk in self._earlier.made,
            )
        )

    # What is written

    def _write(self) -> None:
        Wallet.objects.filter(id__in=self._retired).update(retired_at=self._now)
        for model, names in WRITTEN.items():
            # As an upsert: Django's bulk_update writes a CASE of every row, and takes minutes.
            model._default_manager.bulk_create(
                self._changed[model].values(),
                batch_size=AT_ONCE,
                update_conflicts=True,
                unique_fields=["id"],
                update_fields=names,
            )
        made: tuple[type[Model], ...] = (Owner, Meter, Wallet, WalletChange, MeterAssignment)
        for model in made:
            model._default_manager.bulk_create(self._new[model], batch_size=AT_ONCE)

    def _judge(self) -> None:
        """Readings that waited for what is registered now."""
        made = self._new[MeterAssignment]
        orphaned = set(
            MeterReading.objects.filter(owner=None, meter__in=[each.meter_id for each in made])
            .values_list("meter", flat=True)
            .distinct()
        )
        for assignment in made:
            if assignment.meter_id in orphaned:
                self._done.rejudged += adopt_readings(assignment)
        paid = [wallet.owner_id for wallet in self._new[Wallet]]
        held = MeterReading.objects.held(ReadingCode.NO_WALLET)
        for at in range(0, len(paid), AT_ONCE):
            self._done.rejudged += rejudge(held.filter(owner__in=paid[at : at + AT_ONCE]))


def _guarded(owners: Sequence[UUID]) -> set[UUID]:
    """Owners whose next wallet waits for a second person: who has or ever had one."""
    if not second_person().is_on:
        return set()
    known = Wallet.objects.filter(owner__in=owners).order_by()
    return set(known.values_list("owner", flat=True).distinct())


def _locked(model: type[Any], key: str, values: set[str]) -> dict[str, Any]:
    """Rows by key, locked in the order of their ids."""
    rows = model.objects.select_for_update(no_key=True).filter(**{f"{key}__in": list(values)})
    return {getattr(row, key): row for row in rows.order_by("id")}
