"""A worker of its own that drives what waits: ``python -m tests.minting.service.driving``.

Says on stdout how many megabytes it held at most.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import django


def peak_mb() -> float:
    """Resident memory at its highest, of this process alone (Linux)."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    from minting.service.drive.recover import slices_wait
    from minting.tasks import look

    while slices_wait():
        look()
    sys.stdout.write(f"{peak_mb():.1f}\n")


if __name__ == "__main__":
    main()
