"""A second pair of eyes, and what an owner is handed: approve, be refused, download, check."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.contrib.auth.models import Group, User
from django.urls import reverse
from playwright.sync_api import expect

from minting.models import BatchSource, MintApproval, MintResult
from minting.service.chain.session import open_session
from minting.service.drive.recover import recover
from minting.service.requests.prepare import request_batch
from readings.models import WalletChange
from tests.browser.conftest import Visitor, elsewhere
from tests.factories.readings import household, solar_farm
from tests.factories.village import harvest, village

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def people(groups: None) -> dict[str, User]:
    """One of each group; the operator may approve, too, but not what she asked for."""
    found = {}
    for name, theirs in (("operator", ["Operator", "Approver"]), ("approver", ["Approver"])):
        found[name] = User.objects.create_user(name, password="password", is_staff=True)
        found[name].groups.set(Group.objects.filter(name__in=theirs))
    return found


def test_a_second_person_approves_and_the_owner_gets_a_receipt(
    minting_chain, people, visitor: Visitor, worker, tmp_path
):
    minting_chain.settings.APPROVAL_ABOVE_KWH = Decimal(1)
    ids = [reading.id for reading in harvest(village(3), each=2)]
    elsewhere(
        lambda: request_batch(
            ids, source=BatchSource.ADMIN, created_by=people["operator"], strict=True
        )
    )
    approval = MintApproval.objects.get()
    page = visitor.page

    # Whoever asked sees it and has nothing to press.
    visitor.log_in("operator", "password")
    visitor.go(f"/admin/minting/mintbatch/{approval.batch_id}/change/")
    expect(page.locator("#batch-approval")).to_contain_text("1.5 kWh, above 1 kWh")
    visitor.pictures("waiting")
    page.locator("#batch-approval").get_by_role("link", name="waiting").click()
    expect(page.get_by_text("Another person who may approve batches")).to_be_visible()
    expect(page.get_by_role("link", name="Approve…")).to_have_count(0)
    visitor.log_out()

    visitor.log_in("approver", "password")
    page.get_by_role("link", name="Approvals 1").click()
    visitor.pictures("inbox")
    page.locator("#result_list").get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="What is asked")).to_be_visible()
    visitor.pictures("approval")
    page.get_by_role("link", name="Approve…").click()
    expect(page.get_by_role("heading", name="Approve this batch?")).to_be_visible()
    visitor.pictures("decide")
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.get_by_text("Approved: workers take the batch up.")).to_be_visible()

    worker()
    minting_chain.net.wait_slots(40)
    elsewhere(_recover)
    result = MintResult.objects.filter(status="finalized").first()
    assert result is not None
    visitor.go(reverse("admin:minting_mintresult_change", args=[result.pk]))
    visitor.pictures("result")
    with page.expect_download() as download:
        page.get_by_role("link", name="Receipt for the owner").click()
    receipt = tmp_path / "receipt.json"
    download.value.save_as(receipt)
    visitor.go(reverse("admin:minting_mintresult_check"))
    page.set_input_files("[name=file]", receipt)
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_text("The receipt holds.")).to_be_visible()
    visitor.pictures("receipt")
    receipt.write_text(receipt.read_text().replace('"base_units": "250', '"base_units": "150'))
    page.set_input_files("[name=file]", receipt)
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_text("The receipt does not hold.")).to_be_visible()
    visitor.pictures("forged")


def test_a_changed_wallet_waits_for_a_second_person(db, people, visitor: Visitor, settings):
    settings.APPROVAL_ABOVE_KWH = Decimal(1)
    people["operator"].groups.add(Group.objects.get(name="Administrator"))
    house, neighbour = household(), solar_farm()
    for _ in range(3):
        house.reading()
    house.reading(status="minting")
    page = visitor.page

    visitor.log_in("operator", "password")
    visitor.go(f"/admin/readings/wallet/add/?owner={house.owner.id}")
    page.fill("[name=address]", neighbour.wallet.address)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Nothing is changed yet")).to_be_visible()
    # Whoever asked sees it, may take it back, and does not decide.
    expect(page.get_by_text("Another person who may approve wallets")).to_be_visible()
    expect(page.get_by_role("link", name="Approve…")).to_have_count(0)
    expect(page.get_by_role("link", name="Withdraw…")).to_be_visible()
    change = WalletChange.objects.get()
    visitor.go(f"/admin/readings/owner/{house.owner.id}/change/")
    expect(page.get_by_role("heading", name="Waits for a second person")).to_be_visible()
    visitor.log_out()

    visitor.log_in("approver", "password")
    page.get_by_role("link", name="1 changed wallet waits for another person").click()
    expect(page.get_by_role("link", name="Wallets (1)")).to_be_visible()
    page.get_by_role("link", name="Approvals 1").click()
    page.get_by_role("link", name="Wallets (1)").click()
    visitor.pictures("inbox")
    page.locator("#result_list").get_by_role("link").first.click()
    expect(page.get_by_text("Others are paid at this address, too")).to_be_visible()
    visitor.pictures("question")
    page.get_by_role("link", name="Approve…").click()
    expect(page.get_by_role("heading", name="Pay this owner at the new wallet?")).to_be_visible()
    page.fill("[name=reason]", "Asked by phone")
    visitor.pictures("decide")
    page.get_by_role("button", name="Approve", exact=True).click()
    expect(page.get_by_text("Approved: from now on")).to_be_visible()
    assert house.owner.wallets.current().get().address == neighbour.wallet.address
    visitor.go(f"/admin/readings/walletchange/{change.pk}/history/")
    expect(page.get_by_role("cell", name="approver").first).to_be_visible()


def _recover() -> None:
    with open_session() as session:
        recover(session)
