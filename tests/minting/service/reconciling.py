"""A process that reconciles once: ``python -m tests.minting.service.reconciling [thorough]``.

Says on stdout, in one line of JSON, what it took.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time

import django


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    from django.db import connection

    from minting.service.audit.reconcile import reconcile
    from minting.service.chain.session import open_session
    from tests.minting.service.driving import peak_mb

    statements = 0

    def count(execute, *args):
        nonlocal statements
        statements += 1
        return execute(*args)

    connection.ensure_connection()
    before, begun = peak_mb(), time.monotonic()
    with connection.execute_wrapper(count), open_session() as session:
        run = reconcile(session, thorough="thorough" in sys.argv).run
    spent = resource.getrusage(resource.RUSAGE_SELF)
    took = {
        "status": run.status,
        "seen": run.transactions_seen,
        "audited": run.audited,
        "seconds": round(time.monotonic() - begun, 2),
        "cpu_seconds": round(spent.ru_utime + spent.ru_stime, 2),
        "statements": statements,
        "mb_before": round(before, 1),
        "mb": round(peak_mb(), 1),
    }
    sys.stdout.write(json.dumps(took) + "\n")


if __name__ == "__main__":
    main()
