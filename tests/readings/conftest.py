"""The cast of the registry."""

from __future__ import annotations

import pytest

from tests.factories import readings as cast


@pytest.fixture
def household(db) -> cast.Resident:
    return cast.household()


@pytest.fixture
def solar_farm(db) -> cast.Resident:
    return cast.solar_farm()


@pytest.fixture
def outsider(db) -> cast.Resident:
    return cast.outsider()


@pytest.fixture
def operator(django_user_model):
    return django_user_model.objects.create_user("operator", is_staff=True)
