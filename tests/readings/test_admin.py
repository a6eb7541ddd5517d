"""The registry's pages."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from readings.admin import wallets
from readings.models import Meter, MeterAssignment, Owner, Wallet
from tests.factories.readings import LONG_AGO, MeterFactory, OwnerFactory, address, last_quarter

pytestmark = pytest.mark.django_db


def page(model, name="changelist", *args):
    return reverse(f"admin:readings_{model}_{name}", args=args)


@pytest.fixture
def cast(household, solar_farm, outsider):
    return household, solar_farm, outsider


@pytest.mark.parametrize(
    ("model", "query"),
    [("owner", "Anong"), ("wallet", "anong"), ("meter", "HOUSE"), ("meterassignment", "HOUSE")],
)
def test_lists_open_and_search(admin_client, cast, model, query):
    everything = admin_client.get(page(model)).content.decode()
    assert "Anong" in everything
    assert "Lat Krabang" in everything
    found = admin_client.get(page(model), {"q": query}).content.decode()
    assert "Anong" in found
    assert "Lat Krabang" not in found


def test_lists_take_a_constant_number_of_queries(
    admin_client, household, django_assert_max_num_queries
):
    for owner in OwnerFactory.create_batch(10):
        MeterFactory(owner=owner)
    for model in ("owner", "wallet", "meter", "meterassignment"):
        with django_assert_max_num_queries(8):
            admin_client.get(page(model))


def test_pages_of_one_show_what_belongs_to_it(admin_client, household, outsider):
    owner = admin_client.get(page("owner", "change", household.owner.id)).content.decode()
    assert household.wallet.address in owner
    meter = admin_client.get(page("meter", "change", household.meter.id)).content.decode()
    assert "Anong" in meter
    wallet = admin_client.get(page("wallet", "change", household.wallet.id))
    assert wallet.status_code == 200
    assert 'name="address"' not in wallet.content.decode()
    owners = admin_client.get(page("owner")).content.decode()
    assert "none: readings are held" in owners


def test_owners_and_meters_are_registered_and_keep_their_names(admin_client):
    admin_client.post(page("owner", "add"), {"user_id": "u1", "name": "Malee", **EMPTY_WALLETS})
    owner = Owner.objects.get(user_id="u1")
    admin_client.post(
        page("owner", "change", owner.id),
        {"user_id": "u2", "name": "Malee Srisuk", **EMPTY_WALLETS},
    )
    owner.refresh_from_db()
    assert (owner.user_id, owner.name) == ("u1", "Malee Srisuk")
    admin_client.post(
        page("meter", "add"), {"serial": "M1", "interval_seconds": 900, **EMPTY_ASSIGNMENTS}
    )
    assert Meter.objects.get().serial == "M1"


EMPTY_WALLETS = {"wallets-TOTAL_FORMS": 0, "wallets-INITIAL_FORMS": 0}
EMPTY_ASSIGNMENTS = {"assignments-TOTAL_FORMS": 0, "assignments-INITIAL_FORMS": 0}


def test_a_new_wallet_retires_the_old_and_lets_readings_go(admin_client, household, outsider):
    reading = outsider.reading(status="held", code="no_wallet")
    for resident, name in ((household, "new"), (outsider, "niran")):
        answer = admin_client.post(
            page("wallet", "add"), {"owner": resident.owner.id, "address": address(name)}
        )
        assert answer.status_code == 302
        assert Wallet.objects.current().get(owner=resident.owner).address == address(name)
    assert Wallet.objects.count() == 3
    reading.refresh_from_db()
    assert reading.status == "pending"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"address": "abc"}, "32 bytes in base58"),
        ({"address": address("x"), "allow_off_curve": "on"}, "needs a reason"),
        ({}, "32 bytes in base58"),
    ],
)
def test_a_wrong_wallet_is_told_in_the_form(admin_client, outsider, fields, sentence):
    answer = admin_client.post(page("wallet", "add"), {"owner": outsider.owner.id, **fields})
    assert answer.status_code == 200
    assert sentence in answer.content.decode()
    assert not Wallet.objects.exists()


def test_wallets_are_retired_not_deleted(admin_client, household):
    reading = household.reading()
    form = {"action": "retire", "_selected_action": [household.wallet.id]}
    asked = admin_client.post(page("wallet"), form).content.decode()
    assert "Retire 1 wallet?" in asked
    assert household.wallet.address in asked
    assert "1 reading is held" in asked
    assert Wallet.objects.current().exists(), "it asks first"
    answer = admin_client.post(page("wallet"), {**form, "post": "yes"}, follow=True)
    assert "1 wallet retired" in answer.content.decode()
    reading.refresh_from_db()
    assert reading.code == "no_wallet"
    again = admin_client.post(page("wallet"), form, follow=True).content.decode()
    assert "None of them is paid now" in again
    assert admin_client.post(page("wallet", "delete", household.wallet.id)).status_code == 403
    assert Wallet.objects.count() == 1


def test_so_many_wallets_are_not_retired_at_once(admin_client, household, monkeypatch):
    monkeypatch.setattr(wallets, "RETIRED_AT_ONCE", 0)
    form = {"action": "retire", "_selected_action": [household.wallet.id], "post": "yes"}
    page_after = admin_client.post(page("wallet"), form, follow=True).content.decode()
    assert "at most 0 at once" in page_after
    assert Wallet.objects.current().exists()


def assignment(meter, owner, starts_at):
    return {
        "meter": meter.id,
        "owner": owner.id,
        "starts_at_0": f"{starts_at:%Y-%m-%d}",
        "starts_at_1": f"{starts_at:%H:%M:%S}",
    }


def test_a_meter_changes_hands(admin_client, household, outsider):
    answer = admin_client.post(
        page("meterassignment", "add"),
        assignment(household.meter, outsider.owner, last_quarter()),
    )
    assert answer.status_code == 302
    before, after = household.meter.assignments.order_by("starts_at")
    assert before.ends_at == after.starts_at == last_quarter()
    assert after.owner == outsider.owner


def test_two_holders_at_once_are_refused_with_a_sentence(admin_client, household, outsider):
    answer = admin_client.post(
        page("meterassignment", "add"),
        assignment(household.meter, outsider.owner, LONG_AGO),
        follow=True,
    )
    assert "has another owner" in answer.content.decode()
    assert MeterAssignment.objects.filter(meter=household.meter).count() == 1


def test_buttons_lead_to_the_forms(admin_client, household):
    owner = admin_client.get(page("owner", "change", household.owner.id)).content.decode()
    assert "Register a wallet" in owner
    lead = admin_client.get(
        reverse("admin:readings_owner_register_wallet", args=[household.owner.id])
    )
    assert lead.url == f"{page('wallet', 'add')}?owner={household.owner.id}"
    lead = admin_client.get(reverse("admin:readings_meter_assign", args=[household.meter.id]))
    assert lead.url == f"{page('meterassignment', 'add')}?meter={household.meter.id}"
    assert admin_client.get(lead.url).status_code == 200


def test_who_may_only_look_registers_nothing(client, household, operator):
    operator.user_permissions.set(
        Permission.objects.filter(content_type__app_label="readings", codename__startswith="view_")
    )
    client.force_login(operator)
    shown = client.get(page("owner", "change", household.owner.id)).content.decode()
    assert "Register a wallet" not in shown
    assert client.get(page("wallet")).status_code == 200
    for model in ("owner", "wallet", "meter", "meterassignment"):
        assert client.get(page(model, "add")).status_code == 403
