"""A person is forgotten: asked once, told what stays, done."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from readings.models import Owner
from tests.factories.readings import household

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_person_is_forgotten_from_the_owners_page(visitor):
    owner = household().owner
    Owner.objects.filter(pk=owner.pk).update(email="anong@example.com")
    User.objects.create_superuser("admin", password="secret-enough-1")
    visitor.log_in("admin", "secret-enough-1")
    visitor.go(f"/admin/readings/owner/{owner.pk}/change/")
    visitor.picture("owner")
    visitor.page.get_by_role("link", name="Forget this person").click()
    assert visitor.page.get_by_text("This cannot be undone").is_visible()
    visitor.pictures("asked")
    visitor.page.get_by_role("button", name="Forget for good").click()
    visitor.page.get_by_text("told of the person").wait_for()
    visitor.picture("done")
    owner.refresh_from_db()
    assert (owner.name, owner.email) == ("Forgotten owner", "")
