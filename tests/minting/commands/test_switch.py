"""``mint --stop`` and ``mint --resume``."""

from __future__ import annotations

import json

import pytest
from django.core.management import CommandError

from minting.management.commands.mint import _hindrance
from minting.models import MintingStop
from minting.service.stopping import stop_minting
from tests.factories.readings import household
from tests.minting.api.history import queued_batch
from tests.minting.commands.test_commands import run

pytestmark = pytest.mark.django_db(transaction=True)


def test_stop_and_resume():
    out, _ = run("mint", "--stop", "the tariff is wrong")
    assert out == "Minting is stopped by command line: the tariff is wrong\n"
    stop = MintingStop.objects.get()
    assert (stop.reason, stop.stopped_by, stop.resumed_at) == (
        "the tariff is wrong",
        "command line",
        None,
    )

    out, _ = run("mint", "--resume")
    assert out == "Minting goes on; it was stopped: the tariff is wrong\n"
    out, _ = run("mint", "--resume")
    assert out == "Minting was not stopped.\n"


def test_as_json():
    told = json.loads(run("mint", "--stop", "audit", "--json")[0])
    assert (told["stopped"], told["reason"], told["resumed_at"]) == (True, "audit", None)
    told = json.loads(run("mint", "--resume", "--json")[0])
    assert (told["stopped"], told["resumed_by"]) == (False, "command line")
    assert json.loads(run("mint", "--resume", "--json")[0]) == {"stopped": False}


def test_a_reason_is_needed_and_one_switch_at_a_time():
    with pytest.raises(CommandError, match="needs a reason"):
        run("mint", "--stop", " ")
    with pytest.raises(CommandError, match="either --stop REASON or --resume"):
        run("mint", "--stop", "x", "--resume")
    assert not MintingStop.objects.exists()


def test_whoever_waits_is_told_why_nothing_happens():
    batch = queued_batch([household().reading()])
    assert _hindrance(batch, waited=1) == ""
    assert "is `manage.py qcluster` running?" in _hindrance(batch, waited=60)
    stop_minting("audit", by="chief")
    assert _hindrance(batch, waited=60) == "Minting is stopped by chief: audit"
