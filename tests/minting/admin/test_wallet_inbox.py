"""The inbox of wallets: what is shown, who may answer, and that the answer is to what was shown."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from minting.admin.inbox.badge import waiting_badge
from minting.models import MintApproval
from readings import intake
from readings.models import Wallet, WalletChange
from tests.factories.readings import WalletFactory, address, household, outsider
from tests.minting.admin import journal
from tests.minting.admin.conftest import VIEWS

pytestmark = pytest.mark.django_db

SEES = (*VIEWS, "readings.view_walletchange", "readings.view_wallet", "readings.view_owner")
ASKS = (*SEES, "readings.add_wallet")
APPROVES = (*SEES, "readings.approve_walletchange")
NEW = address("new")


@pytest.fixture(autouse=True)
def four_eyes(settings) -> None:
    settings.APPROVAL_ABOVE_LAMPORTS = 1


@pytest.fixture
def house():
    resident = household()
    for _ in range(2):
        resident.reading()
    resident.reading(status="minting")
    return resident


@pytest.fixture
def clerk(staff):
    """Asks for wallets, and may approve those of others."""
    return staff("clerk", *ASKS, "readings.approve_walletchange")


def asked(clerk, resident) -> WalletChange:
    add = reverse("admin:readings_wallet_add")
    assert "waits for a second person" in clerk.get(add).content.decode()
    answer = clerk.post(add, {"owner": resident.owner.id, "address": NEW}, follow=True)
    page = answer.content.decode()
    change = WalletChange.objects.get()
    assert answer.redirect_chain[-1][0] == url("change", change)
    assert "Nothing is changed yet" in page
    assert (change.way, change.proposed_by.username) == ("admin", "clerk")
    return change


def ask_for(**wanted: Any) -> WalletChange:
    """By a command."""
    change = intake.register_wallet(**wanted)
    assert isinstance(change, WalletChange)
    return change


def url(name: str, row: WalletChange) -> str:
    return reverse(f"admin:readings_walletchange_{name}", args=[row.pk])


def test_an_approver_sees_what_is_asked_and_lets_it_go(house, clerk, staff):
    change = asked(clerk, house)
    WalletFactory(owner=outsider().owner, address=NEW)
    approver = staff("approver", *APPROVES)
    inbox = approver.get(reverse("admin:readings_walletchange_changelist")).content.decode()
    for told in ("Anong Srisuk (anong)", "clerk", "2 readings, 0.5 kWh", "Wallets (1)"):
        assert told in inbox
    page = approver.get(url("change", change)).content.decode()
    for told in (
        house.wallet.address,
        NEW,
        "by the admin",
        "2 readings, 0.5 kWh",
        "in a batch: paid at the wallet that the batch was made with",
        "Others are paid at this address, too: Niran Boonmee (niran).",
        "Approve…",
    ):
        assert told in page
    assert "Withdraw…" not in page
    other = approver.post(url("approve", change), {"digest": "ab" * 32}, follow=True)
    assert "Not decided: what was shown is not what is asked now" in other.content.decode()
    assert not Wallet.objects.filter(owner=house.owner, address=NEW).exists()

    shown = approver.get(url("approve", change)).context["form"].initial["digest"]
    answer = approver.post(url("approve", change), {"digest": shown, "reason": "by phone"})

    assert answer.url == url("change", change)
    assert Wallet.objects.current().get(owner=house.owner).address == NEW
    again = approver.post(url("approve", change), {"digest": shown}, follow=True)
    assert "Not decided: the request is approved already" in again.content.decode()
    # The log tells both, by the row and by the wallet that came of it.
    history = approver.get(reverse("admin:readings_walletchange_history", args=[change.pk]))
    assert [row[1] for row in history.context["table"]["rows"] if row[3] == "Status"] == [
        *("approver", "clerk"),
    ]


def test_whoever_asked_or_may_not_is_refused_by_page_and_by_address(house, clerk, staff):
    change = asked(clerk, house)
    digest = intake.digest_of(change)
    viewer = staff("auditor", *SEES)
    for person in (clerk, viewer):
        page = person.get(url("change", change)).content.decode()
        assert "Another person who may approve wallets has to decide" in page
        assert "Approve…" not in page
        for name in ("approve", "refuse"):
            assert person.get(url(name, change)).status_code == 403
            sent = {"digest": digest, "reason": "x"}
            assert person.post(url(name, change), sent).status_code == 403
    assert viewer.post(url("withdraw", change)).status_code == 403
    change.refresh_from_db()
    assert change.status == "proposed"
    assert clerk.get(url("withdraw", change)).status_code == 200
    clerk.post(url("withdraw", change), {"reason": ""})
    change.refresh_from_db()
    assert (change.status, change.decided_by.username) == ("withdrawn", "clerk")


def test_a_refusal_has_a_reason_that_everybody_can_read(house, clerk, staff):
    change = asked(clerk, house)
    approver = staff("approver", *APPROVES)
    assert b"This field is required" in approver.post(url("refuse", change), {}).content
    approver.post(url("refuse", change), {"reason": "the owner knows nothing of it"})
    page = clerk.get(url("change", change)).content.decode()
    assert "the owner knows nothing of it" in page
    assert "Approve…" not in page


def test_what_waits_stands_in_sidebar_dashboard_and_at_the_owner(house, clerk, staff):
    approver = staff("approver", *APPROVES, "readings.view_meterreading")
    work = reverse("admin:dashboard_part", args=["work"])
    assert "another person" not in approver.get(work).content.decode()
    change = asked(clerk, house)
    assert "1 changed wallet waits for another person" in approver.get(work).content.decode()
    owner = approver.get(reverse("admin:readings_owner_change", args=[house.owner.id]))
    assert url("change", change) in owner.content.decode()
    for term, count in (("anong", 1), (NEW, 1), (house.wallet.address, 1), ("niran", 0)):
        found = approver.get(reverse("admin:readings_walletchange_changelist"), {"q": term})
        assert found.context["cl"].result_count == count


def test_several_are_approved_with_one_confirmation_each_as_it_was_shown(house, clerk, staff):
    mine = asked(clerk, house)
    approver = staff("approver", *APPROVES)
    others = [
        ask_for(owner=WalletFactory().owner, address=address(f"wanted {each}")) for each in range(3)
    ]
    inbox = reverse("admin:readings_walletchange_changelist")
    chosen = {
        "action": "approve_selected",
        "_selected_action": [row.pk for row in (mine, *others)],
    }
    page = clerk.post(inbox, chosen, follow=True)
    assert page.context["count"] == 3
    assert "Left out, since you asked for them: 1." in page.content.decode()

    page = approver.post(inbox, chosen, follow=True)
    shown = page.context["shown"]
    assert len(shown) == 4
    for told in (NEW, others[0].address, "2 readings, 0.5 kWh"):
        assert told in page.content.decode()
    # Meanwhile one is withdrawn and one's address is somebody else's too.
    intake.withdraw_wallet_change(others[0].pk, by=None)
    WalletFactory(address=others[1].address)
    view = reverse("admin:readings_walletchange_approve_selected")
    sent = [*shown, "nonsense", f"{house.owner.pk}:x"]
    answer = approver.post(view, {"shown": sent}, follow=True).content.decode()
    assert "Approved: 2 owners are paid at the new wallet" in answer
    assert answer.count("Not decided") == 4
    assert f"Not decided, {others[1].owner}: what was shown is not what is asked now" in answer
    stand = dict(WalletChange.objects.values_list("pk", "status"))
    assert [stand[row.pk] for row in (mine, *others)] == [
        *("approved", "withdrawn", "proposed", "approved"),
    ]
    # A landlord's flats follow each other to one address: that was shown, too.
    flats = [WalletFactory().owner for _ in range(3)]
    changes = [ask_for(owner=each, address=address("landlord")) for each in flats]
    sent = [f"{each.pk}:{intake.digest_of(each)}" for each in changes]
    told = approver.post(view, {"shown": sent}, follow=True).content.decode()
    assert "Approved: 3 owners are paid" in told
    # Whoever asked does not get round it by the address either.
    late = ask_for(owner=house.owner, address=address("late"))
    WalletChange.objects.filter(pk=late.pk).update(
        proposed_by=mine.proposed_by, way="admin", address=address("later")
    )
    late.refresh_from_db()
    clerk.post(view, {"shown": [f"{late.pk}:{intake.digest_of(late)}"]})
    late.refresh_from_db()
    assert late.status == "proposed"


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ("before", "had this address before"),
        ("alike", "begin and end alike"),
        ("exception", "only what is allowed of it changes"),
    ],
)
def test_what_is_odd_about_an_address_is_said(house, staff, wanted, says):
    more: dict[str, Any] = {}
    at = house.wallet.address
    if wanted == "before":
        Wallet.objects.update(retired_at=house.wallet.registered_at)
        WalletFactory(owner=house.owner, address=address("now"))
    elif wanted == "alike":
        Wallet.objects.update(address=f"{NEW[:4]}{address('other')[4:-4]}{NEW[-4:]}")
        at = NEW
    else:
        more = {"allow_program_owned": True, "exception_reason": "Their multisig"}
    change = ask_for(owner=house.owner, address=at, **more)
    page = staff("approver", *APPROVES).get(url("change", change)).content.decode()
    assert says in page
    assert "by a command" in page


def test_the_badge_counts_both_kinds(house, clerk, staff):
    assert waiting_badge() == ""
    change = asked(clerk, house)
    MintApproval.objects.create(
        batch=journal.open_batch(),
        why="above",
        digest=bytes(32),
        expires_at=change.expires_at,
        fee_cap_lamports=0,
    )
    assert waiting_badge() == "2"
    approver = staff("approver", *APPROVES, "minting.view_mintapproval")
    inbox = approver.get(reverse("admin:minting_mintapproval_changelist")).content.decode()
    for told in ("Batches (1)", "Wallets (1)", reverse("admin:readings_walletchange_changelist")):
        assert told in inbox
