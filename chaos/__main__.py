"""``python -m chaos``: mints thousands of readings while everything around it is broken."""

from __future__ import annotations

import argparse
import logging
import os
import secrets
import shutil
import signal
import sys
from importlib import import_module
from types import FrameType
from typing import Any, NoReturn

import django

from chaos.schedule import draw
from gridtoken.embedded.postgres import PostgresError
from gridtoken.processes import ProcessError
from stage.servers import Stage

CLUSTERS = 2

MAX_PRIORITY_FEE = 20_000
"""Lamports a transaction bids at most: less than others bid at the height of a rush."""


def arguments() -> argparse.Namespace:
    """The options; all have the full run's defaults."""
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--readings", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two kills")
    parser.add_argument("--seed", type=int, help="replays the fire of an earlier run")
    parser.add_argument("--seconds", type=float, default=2_400, help="gives up after so many")
    parser.add_argument("--slot-ms", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2, help="of each of the two clusters")
    parser.add_argument(
        "--hands-off", action="store_true", help="nobody helps: the product alone has to heal"
    )
    parser.add_argument("--keep", action="store_true", help="keeps the folder of a good run too")
    return parser.parse_args()


def main() -> int:
    """Exit code 0 when nothing was lost or doubled."""
    chosen = arguments()
    seed = secrets.randbelow(10**9) if chosen.seed is None else chosen.seed
    stage = Stage("chaos", slot_ms=chosen.slot_ms, workers=chosen.workers)
    stage.environment |= {
        "BLOCKCHAIN_PRIORITY_FEE": "auto",
        "BLOCKCHAIN_MAX_PRIORITY_FEE": str(MAX_PRIORITY_FEE),
    }
    sys.stdout.write(
        f"seed {seed}: {chosen.readings} readings, {chosen.kills} kills, "
        f"{CLUSTERS} clusters of {chosen.workers} workers, {stage.folder}\n"
    )
    sys.stdout.flush()
    good = False
    for wanted in (signal.SIGINT, signal.SIGTERM):
        signal.signal(wanted, _stop)
    try:
        mint = stage.set_up()
        os.environ.update(stage.environment)
        django.setup()
        logging.disable()  # the story is told on stdout; the processes' logs are files
        good = _burn(chosen, seed, stage, mint)
    except (ProcessError, PostgresError) as error:
        sys.stderr.write(f"{error}\n")
    finally:
        stage.tear_down()
    if good and not chosen.keep:
        shutil.rmtree(stage.folder, ignore_errors=True)
    else:
        sys.stdout.write(f"logs, database and ledger: {stage.folder}\n")
    return 0 if good else 1


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    """Whoever stops a run leaves no process behind."""
    sys.exit(128 + number)


def _burn(chosen: argparse.Namespace, seed: int, stage: Stage, mint: str) -> bool:
    # Models can be imported only now that the settings know where everything is.
    people: Any = import_module("chaos.people")
    controlling: Any = import_module("chaos.controller")
    reporting: Any = import_module("chaos.report")
    auditing: Any = import_module("chaos.audit")
    controller = controlling.Controller(
        stage=stage,
        events=draw(seed=seed, kills=chosen.kills, every=chosen.every, clusters=CLUSTERS),
        readings=people.seed_readings(chosen.readings, seed=seed),
        clusters=CLUSTERS,
        end=chosen.kills * chosen.every * 0.9,
        cap=chosen.seconds,
        hands_off=chosen.hands_off,
    )
    rested = controller.run()
    books = auditing.Books(stage.chain, mint, stage.authority, stage.journal_dir, MAX_PRIORITY_FEE)
    return bool(reporting.report(controller, books, rested=rested))


if __name__ == "__main__":
    sys.exit(main())
