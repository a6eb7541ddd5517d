"""The project's settings with a throwaway PostgreSQL, deaf to the developer's environment.

One server for each process that runs tests (xdist's workers, so that one may restart its own),
started by whoever connects first, a command that a test runs included, and gone with its last
user. ``TEST_DATABASE_URL`` names another server instead. Child processes inherit
``TEST_DATA_DIR``, and with it what a test puts into their environment counts.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from gridtoken.embedded import postgres


def _clear(data: Path, process: int) -> None:
    """The session's first process takes its data away; those it forked only inherit them."""
    if os.getpid() == process:
        postgres.leave(data / "postgres")
        shutil.rmtree(data, ignore_errors=True)


_worker = os.environ.get("PYTEST_XDIST_WORKER", "")
_inherited = os.environ.get("TEST_DATA_DIR", "")
if not _inherited or not _inherited.endswith(_worker):
    _example = Path(__file__).resolve().parent.parent / ".env.example"
    for _line in _example.read_text().splitlines():
        os.environ.pop(_line.partition("=")[0], None)
    _data = Path(tempfile.gettempdir()) / f"gridtoken-tests-{os.getpid()}{_worker}"
    atexit.register(_clear, _data, os.getpid())
    os.environ |= {
        "TEST_DATA_DIR": str(_data),
        "ENV_FILE": "",
        "DATA_DIR": str(_data),
        "DATABASE_URL": os.environ.get("TEST_DATABASE_URL", ""),
        "DJANGO_SECRET_KEY": "for-tests-only-" + "x" * 40,
        "DJANGO_ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
        "DJANGO_HTTPS": "false",
        "STAFF_MFA_REQUIRED": "false",
        "Q_WORKERS": "1",
    }

from gridtoken.settings import *

ALLOW_VOLATILE_DATABASE = True
if "EMBEDDED" in DATABASES["default"]:
    DATABASES["default"]["EMBEDDED"]["throwaway"] = True
    DATABASES["default"]["ENGINE"] = "tests.database"
# Nothing is collected: the admin's pages link to the files as they lie.
STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
WHITENOISE_USE_FINDERS = True
