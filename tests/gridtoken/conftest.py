"""A command line in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gridtoken.env import BASE_DIR

PRODUCTION = {
    "ENV_FILE": "",
    "DJANGO_SETTINGS_MODULE": "gridtoken.settings",
    "DJANGO_SECRET_KEY": "a-long-random-text-0123456789-abcdefghijklmnopqrstuvwxyz",
    "DJANGO_ALLOWED_HOSTS": "utility.example",
}
Manage = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def manage(tmp_path: Path) -> Manage:
    """``manage.py`` as a fresh process in production, with nothing of the tests' own settings."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("PATH", "HOME", "LANG", "COVERAGE", "TMP"))
    }

    def call(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(BASE_DIR / "manage.py"), *words],
            env={**kept, **PRODUCTION, "DATA_DIR": str(tmp_path), **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return call
