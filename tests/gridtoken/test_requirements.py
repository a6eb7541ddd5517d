"""The lock files hold what was asked for, with hashes, from nowhere in particular."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gridtoken.env import BASE_DIR


def asked(path: Path) -> set[str]:
    lines = (line.strip() for line in path.read_text().splitlines())
    return {
        re.split(r"[\[<>=~! ;]", line)[0].lower().replace("_", "-")
        for line in lines
        if line and not line.startswith(("#", "-r"))
    }


def locked(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9.-]+)(?:\[.*\])?==(\S+)", path.read_text(), re.MULTILINE))


@pytest.mark.parametrize("name", ["base", "dev"])
def test_everything_asked_for_is_locked_with_hashes(name):
    folder = BASE_DIR / "requirements"
    versions = locked(folder / f"{name}.txt")
    assert asked(folder / f"{name}.in") <= versions.keys()
    text = (folder / f"{name}.txt").read_text()
    assert "://" not in text
    packages = re.split(r"^(?=[a-z0-9.-]+(?:\[.*\])?==)", text, flags=re.MULTILINE)[1:]
    assert len(packages) == len(versions)
    assert all("--hash=sha256:" in package for package in packages)


def test_tests_run_on_the_versions_of_production():
    folder = BASE_DIR / "requirements"
    assert locked(folder / "base.txt").items() <= locked(folder / "dev.txt").items()
