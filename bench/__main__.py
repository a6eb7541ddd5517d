"""``python -m bench``: measures the product beside what it replaces, on a chain of this machine."""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import signal
import sys
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import django

from bench.aims import judge
from bench.hall import BenchError, Hall
from bench.table import document, report
from gridtoken.embedded.postgres import PostgresError
from gridtoken.processes import ProcessError
from minting.engine.errors import BlockchainError
from stage.servers import Stage

SECTIONS = ("ways", "limited", "fees", "latency", "growth", "idle", "profile", "intake", "lists")
"""As in ``bench.sections``, which cannot be imported before Django is set up."""


def arguments() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=SECTIONS, help="this section; may be given again"
    )
    parser.add_argument("--seed", type=int, default=1, help="of wallets and readings")
    parser.add_argument("--quick", action="store_true", help="fifty readings: does it run at all?")
    parser.add_argument(
        "--whole", action="store_true", help="the old ways mint all, not a sample: takes hours"
    )
    parser.add_argument(
        "--most", type=int, default=100_000, metavar="N", help="growth stops at so many readings"
    )
    parser.add_argument("--json", type=Path, default=Path("artifacts/bench.json"), metavar="FILE")
    parser.add_argument("--slot-ms", type=int, default=400)
    return parser.parse_args()


def main() -> int:
    """Exit code 0 when everything asked for was measured, whatever the aims say."""
    chosen = arguments()
    load = os.getloadavg()
    stage = Stage("bench", slot_ms=chosen.slot_ms, workers=2)
    stage.environment["DJANGO_SETTINGS_MODULE"] = "bench.settings"
    for wanted in (signal.SIGINT, signal.SIGTERM):
        signal.signal(wanted, _stop)
    keep = True
    try:
        stage.set_up()
        os.environ.update(stage.environment)
        django.setup()
        logging.disable()  # what is told is told by us; the processes' logs are files
        hall = Hall(stage)
        hall.set_up()
        keep = not _measure(chosen, hall, load)
    except (BenchError, ProcessError, PostgresError) as error:
        sys.stderr.write(f"{error}\n")
    except SystemExit:
        keep = False  # somebody has seen enough
        raise
    finally:
        stage.tear_down()
        if keep:
            sys.stderr.write(f"logs, database and ledger: {stage.folder}\n")
        else:
            shutil.rmtree(stage.folder, ignore_errors=True)
    return int(keep)


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    """Whoever stops a run leaves no process behind."""
    sys.exit(128 + number)


def _measure(chosen: argparse.Namespace, hall: Hall, load: tuple[float, float, float]) -> bool:
    """Runs the sections and reports; whether each of them could be measured."""
    # Models can be imported only now that the settings know where everything is.
    sections: Any = import_module("bench.sections")
    machine: Any = import_module("bench.machine")
    sizes = sections.sizes(quick=chosen.quick, whole=chosen.whole, most=chosen.most)
    bench = sections.Bench.opened(hall, sizes, chosen.seed)
    failed = False
    for name, section in sections.SECTIONS.items():
        if name in (chosen.only or sections.usual()):
            try:
                section(bench)
            except (BenchError, BlockchainError) as error:
                # The others are worth their time all the same.
                sys.stderr.write(f"{name}: {error}\n")
                failed = True
    facts = machine.facts(load_at_start=load)
    aims = judge(bench.book)
    chosen.json.parent.mkdir(parents=True, exist_ok=True)
    chosen.json.write_text(json.dumps(document(bench.book, aims, facts), indent=1) + "\n")
    sys.stdout.write(report(bench.book, aims, facts))
    if bench.book.profile:
        chosen.json.with_suffix(".profile.txt").write_text(bench.book.profile)
    sys.stderr.write(f"The same as JSON: {chosen.json}\n")
    return not failed


if __name__ == "__main__":
    sys.exit(main())
