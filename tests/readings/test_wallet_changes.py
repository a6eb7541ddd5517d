"""Four eyes for changed wallets: nobody is paid elsewhere on one person's word."""

from __future__ import annotations

import ast
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest
from auditlog.context import set_actor
from auditlog.models import LogEntry
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone

import readings
from readings import intake, tasks
from readings.errors import InvalidWallet, ReasonRequired, WalletChangeConflict
from readings.intake import Asker
from readings.models import ImportFile, Wallet, WalletChange
from readings.second_person import CHANGE_MOVES, ChangeWay, change_digest
from tests.factories.readings import Resident, WalletFactory, address

pytestmark = pytest.mark.django_db

ROOT = Path(readings.__file__).resolve().parents[1]
NEW = address("new")


@pytest.fixture(autouse=True)
def four_eyes(settings) -> None:
    settings.APPROVAL_ABOVE_KWH = Decimal(1)


@pytest.fixture
def asker() -> User:
    return User.objects.create_user("clerk")


@pytest.fixture
def approver() -> User:
    return User.objects.create_user("approver")


@pytest.fixture
def ask(household: Resident, asker: User) -> Callable[..., WalletChange]:
    """Asks for another wallet of the household's owner."""

    def asked(wanted: str = NEW, *, by: User | None = asker, **more) -> WalletChange:
        who = Asker(by, ChangeWay.ADMIN if by else ChangeWay.COMMAND)
        change = intake.register_wallet(owner=household.owner, address=wanted, asker=who, **more)
        assert isinstance(change, WalletChange)
        return change

    return asked


def approve(change: WalletChange, by: User, digest: str = "") -> Wallet:
    return intake.approve_wallet_change(
        change.id, by=by, digest=digest or intake.digest_of(change), reason="asked by phone"
    )


def paid_at(resident: Resident) -> str | None:
    return resident.owner.wallets.current().values_list("address", flat=True).first()


def status(change: WalletChange) -> str:
    change.refresh_from_db()
    return str(change.status)


# ------------------------------------------------------------------ what waits, and what does not


def test_a_first_wallet_is_no_change_and_any_other_is(household, outsider, asker):
    first = intake.register_wallet(owner=outsider.owner, address=address("niran"))
    assert paid_at(outsider) == first.address

    for resident in (household, outsider):
        before = paid_at(resident)
        reading = resident.reading()
        waiting = intake.register_wallet(
            owner=resident.owner, address=NEW, asker=Asker(asker, ChangeWay.API)
        )
        assert (waiting.old_wallet.address, waiting.address, waiting.proposed_by) == (
            *(before, NEW, asker),
        )
        reading.refresh_from_db()
        assert (paid_at(resident), reading.status) == (before, "pending")

    # The wallet of now is no change, and takes nothing back.
    assert isinstance(
        intake.register_wallet(owner=household.owner, address=household.wallet.address), Wallet
    )
    assert WalletChange.objects.proposed().count() == 2
    # Who had one is asked about the next one, or retiring would be the way round.
    WalletChange.objects.all().delete()
    intake.retire_wallet(owner=household.owner)
    again = intake.register_wallet(owner=household.owner, address=household.wallet.address)
    assert isinstance(again, WalletChange)
    assert again.old_wallet is None


def test_an_exception_for_the_same_address_waits_too(household, ask):
    with pytest.raises(ReasonRequired):
        ask(household.wallet.address, allow_program_owned=True)
    change = ask(
        household.wallet.address, allow_program_owned=True, exception_reason="Their multisig"
    )
    assert not household.owner.wallets.current().get().allow_program_owned
    assert change.allow_program_owned


@pytest.mark.parametrize("limit", ["APPROVAL_ABOVE_KWH", "APPROVAL_ABOVE_LAMPORTS"])
def test_either_limit_switches_it_on_and_off_nothing_that_waits_is_applied(
    household, ask, approver, settings, limit
):
    settings.APPROVAL_ABOVE_KWH = settings.APPROVAL_ABOVE_LAMPORTS = None
    setattr(settings, limit, 1)
    change = ask()
    setattr(settings, limit, None)
    assert tasks.expire_wallet_changes() == tasks.rejudge() == 0
    assert (status(change), paid_at(household)) == ("proposed", household.wallet.address)
    # It can still be decided.
    approve(change, approver)
    assert paid_at(household) == NEW
    # Off, a wallet is changed at once, and what waited for the owner is no longer asked.
    setattr(settings, limit, 1)
    other = ask(address("other"))
    setattr(settings, limit, None)
    intake.register_wallet(owner=household.owner, address=address("third"))
    assert (status(other), paid_at(household)) == ("withdrawn", address("third"))
    assert "nobody had to be asked" in other.reason


def test_the_same_again_is_the_same_request_and_another_takes_its_place(household, ask, approver):
    first = ask()
    assert ask() == first == ask(by=approver)
    assert first.proposed_by != approver
    second = ask(address("other"), by=approver)
    assert status(first) == "withdrawn"
    assert (first.decided_by, first.reason) == (approver, "Another wallet was asked for")
    assert WalletChange.objects.proposed().get() == second
    with pytest.raises(WalletChangeConflict, match="withdrawn already"):
        approve(first, approver)


def test_retiring_needs_nobody_and_withdraws_what_waits(household, outsider, ask, approver):
    reading = household.reading()
    change = ask()
    intake.retire_wallet(owner=household.owner, by=approver)
    reading.refresh_from_db()
    assert (status(change), reading.code, paid_at(household)) == ("withdrawn", "no_wallet", None)
    assert (change.decided_by, "was retired" in change.reason) == (approver, True)
    # What is asked for then lets go what waits, once it is approved.
    approve(ask(), approver)
    reading.refresh_from_db()
    assert (reading.status, paid_at(household)) == ("pending", NEW)


# ------------------------------------------------------------------ the decision


def test_approved_it_is_registered_and_all_is_told(household, ask, asker, approver):
    with set_actor(asker):
        change = ask()
    with set_actor(approver):
        wallet = approve(change, approver)
    household.wallet.refresh_from_db()
    assert household.wallet.retired_at is not None
    assert household.owner.wallets.current().get() == wallet
    assert status(change) == "approved"
    assert (change.wallet, change.decided_by, change.reason) == (wallet, approver, "asked by phone")
    logged = LogEntry.objects.get_for_object(change).order_by("id")
    made, decided = logged
    assert (made.actor, made.changes["address"]) == (asker, ["None", NEW])
    assert (decided.actor, decided.changes["status"]) == (approver, ["proposed", "approved"])
    assert LogEntry.objects.get_for_object(wallet).get().actor == approver


def expire(_change: WalletChange, _by: User) -> None:
    """By the clock."""
    WalletChange.objects.update(expires_at=Now())
    tasks.expire_wallet_changes()


ENDS: dict[str, Callable[[WalletChange, User], object]] = {
    "approved": approve,
    "refused": lambda change, by: intake.refuse_wallet_change(change.id, by=by, reason="unknown"),
    "withdrawn": lambda change, by: intake.withdraw_wallet_change(change.id, by=by),
    "expired": expire,
}


@pytest.mark.parametrize("end", ENDS)
def test_it_ends_once_and_for_good(household, ask, approver, end):
    before = household.wallet.address
    change = ask()
    ENDS[end](change, approver)
    assert status(change) == end
    assert paid_at(household) == (NEW if end == "approved" else before)
    for other in ("approved", "refused", "withdrawn"):
        if other == end == "withdrawn":
            ENDS[other](change, approver)  # asked twice, done once
            continue
        with pytest.raises(WalletChangeConflict, match=f"{end} already"):
            ENDS[other](change, approver)
    ENDS["expired"](change, approver)
    assert (status(change), Wallet.objects.count()) == (end, 2 if end == "approved" else 1)
    assert {to.value for _, to in CHANGE_MOVES} == set(ENDS)
    # The owner may be asked about again.
    assert ask(address("other")).status == "proposed"


def test_too_late_is_too_late_before_the_clock_says_so(household, ask, approver):
    change = ask()
    WalletChange.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    for answer in ("approved", "refused", "withdrawn"):
        with pytest.raises(WalletChangeConflict, match="expired"):
            ENDS[answer](change, approver)
    assert paid_at(household) == household.wallet.address
    again = ask()
    assert again != change
    assert status(change) == "expired"


def test_whoever_asked_does_not_decide(household, ask, asker, approver):
    change = ask()
    for answer in ("approved", "refused"):
        with pytest.raises(WalletChangeConflict, match="whoever asked"):
            ENDS[answer](change, asker)
    with pytest.raises(ReasonRequired):
        intake.refuse_wallet_change(change.id, by=approver, reason=" ")
    assert (status(change), paid_at(household)) == ("proposed", household.wallet.address)
    # Of a file: neither who confirmed nor who brought it.
    brought = User.objects.create_user("bringer")
    change.import_file = ImportFile.objects.create(
        kind="registry", name="x.csv", size=1, sha256="0" * 64, brought_by=brought
    )
    change.save()
    with pytest.raises(WalletChangeConflict, match="whoever asked"):
        approve(change, brought)
    # A command is nobody: anybody who may decides.
    approve(ask(address("other"), by=None), asker)


def change_wallet(change: WalletChange) -> None:
    """By somebody who can write the tables."""
    Wallet.objects.filter(owner=change.owner).update(retired_at=Now())
    WalletFactory(owner=change.owner, address=address("a stranger's"))


@pytest.mark.parametrize(
    ("meanwhile", "says"),
    [
        (change_wallet, "not the one that was to be replaced"),
        (lambda change: WalletFactory(address=change.address), "not what is asked now"),
        (
            lambda _: WalletChange.objects.update(address=address("a stranger's")),
            "not what is asked now",
        ),
        (
            lambda _: WalletChange.objects.update(allow_program_owned=True, exception_reason="x"),
            "not what is asked now",
        ),
    ],
)
def test_what_is_not_as_it_was_shown_is_not_approved(household, ask, approver, meanwhile, says):
    change = ask()
    shown = intake.digest_of(change)
    meanwhile(change)
    wallets = list(Wallet.objects.order_by("id").values())
    with pytest.raises(WalletChangeConflict, match=says):
        approve(change, approver, shown)
    assert list(Wallet.objects.order_by("id").values()) == wallets
    assert status(change) == "proposed"


def test_an_address_that_may_not_be_paid_is_not_approved_either(household, ask, approver):
    change = ask()
    WalletChange.objects.update(address="1" * 31)
    change.refresh_from_db()
    with pytest.raises(InvalidWallet):
        approve(change, approver)
    assert paid_at(household) == household.wallet.address


def test_the_digest_tells_everything_apart(ask):
    change = ask()
    told = {
        "change_id": change.id,
        "old_wallet": change.old_wallet_id,
        "address": NEW,
        "allowed": (False, False),
        "also_paid": [],
    }
    others = [
        {"change_id": change.owner_id},
        {"old_wallet": None},
        {"address": address("other")},
        {"allowed": (True, False)},
        {"allowed": (False, True)},
        {"also_paid": [change.owner_id]},
    ]
    digests = {change_digest(**{**told, **each}) for each in others}
    assert len(digests | {change_digest(**told)}) == len(others) + 1
    assert intake.digest_of(change) == change_digest(**told)


# ------------------------------------------------------------------ what the tables know themselves


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"status": "approved", "by": "clerk"}, "second_person"),
        ({"status": "refused", "by": "clerk"}, "second_person"),
        ({"status": "approved", "by": None}, "by_somebody"),
        ({"status": "approved", "by": "approver", "wallet": None}, "once_approved"),
        ({"status": "decided"}, "status_known"),
        ({"proposed_by": None}, "asked_by_somebody"),
    ],
)
def test_the_database_itself_knows_that_it_takes_two(household, ask, approver, fields, constraint):
    change = ask()
    by = fields.pop("by", "")
    if by != "":
        person = User.objects.filter(username=by).first()
        fields = {"wallet": household.wallet, "decided_at": Now(), "decided_by": person} | fields
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        WalletChange.objects.filter(id=change.id).update(**fields)
    change.pk = uuid4()
    with pytest.raises(IntegrityError, match="one_an_owner"), transaction.atomic():
        change.save(force_insert=True)


def test_no_other_code_writes_wallets():
    """Whatever makes or changes one is here, and has been thought of."""
    writers = set()
    for path in [*ROOT.glob("readings/**/*.py"), *ROOT.glob("minting/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                makes = called in {"Wallet", "Wallet.objects.create", "Wallet.objects.bulk_create"}
                if makes or (called.startswith("Wallet.objects") and called.endswith(".update")):
                    writers.add(str(path.relative_to(ROOT)))
    assert writers == {
        "readings/intake/wallets.py",
        "readings/intake/registering.py",
        "readings/management/commands/seed_demo.py",  # new owners' first ones
    }
