"""Colours and icon of every page: files of ours, nothing written into pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.test import Client
from unfold.settings import CONFIG_DEFAULTS
from unfold.utils import convert_color

THEME = Path(__file__).resolve().parents[2] / "minting" / "static" / "minting" / "theme.css"


def test_the_colours_are_unfold_s():
    listed = dict(re.findall(r"--color-([\w-]+): ([^;]+);", THEME.read_text()))
    assert listed == {
        f"{name}-{weight}": convert_color(value)
        for name, weights in CONFIG_DEFAULTS["COLORS"].items()
        for weight, value in weights.items()
    }


@pytest.mark.django_db
def test_no_page_holds_a_style_or_script_of_its_own(client: Client):
    page = client.get("/admin/login/").content.decode()
    assert "minting/theme" in page
    assert "<style" not in page
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", page))


@pytest.mark.django_db
def test_the_icon_is_found_where_pages_and_browsers_look_for_it(client: Client):
    page = client.get("/admin/login/").content.decode()
    [named] = re.findall(r'<link rel="icon" href="([^"]+)"', page)
    assert client.get("/favicon.ico").headers["Location"] == named

    icon = client.get(named)
    assert icon.status_code == 200
    assert icon.headers["Content-Type"] == "image/svg+xml"
    icon.close()
