"""Where it was measured."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version

from django.db import connection

PACKAGES = ("Django", "django-q2", "psycopg", "solana", "solders")


def facts(*, load_at_start: tuple[float, float, float]) -> dict[str, str]:
    """Cores, load, versions, each with its name."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        postgres = cursor.fetchone()[0].split()[0]
    return {
        "cores": str(os.cpu_count()),
        "load at the start": " ".join(f"{each:.2f}" for each in load_at_start),
        "load at the end": " ".join(f"{each:.2f}" for each in os.getloadavg()),
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        "PostgreSQL": postgres,
        **{name: version(name) for name in PACKAGES},
    }
