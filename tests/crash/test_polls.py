"""P3: a poll that is really killed at every step leaves a whole batch or nothing, and no lock."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from django.db.models import F

from minting.models import MintBatch, MintResult, Polling
from minting.service.polling.meter_polling_service import MeterPollingService, PollReport
from readings.models import MeterReading
from tests.crash.poller import EFFECT, POLL_POINTS
from tests.scenarios.clusters import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("point", POLL_POINTS, ids=lambda point: point.id)
def test_killed_and_called_again_everything_is_minted_once(scene, point, settings):
    settings.TOKENIZATION_AUTO_MINT_ENABLED = True
    ended = subprocess.run(
        [sys.executable, "-m", "tests.crash.poller", str(POLL_POINTS.index(point))],
        env={**scene.environment, "TOKENIZATION_AUTO_MINT_ENABLED": "true"},
        timeout=60,
        check=False,
    )

    assert ended.returncode == -signal.SIGKILL, f"never came to {point.id}"
    there = MintBatch.objects.count()
    assert there >= 1 if point.number >= EFFECT else there == 0
    taken = MeterReading.objects.filter(status="minting").count()
    assert taken == MintResult.objects.count()

    # PostgreSQL notices within milliseconds that a session is gone.
    until(lambda: MeterPollingService().poll() != PollReport(halted="another_poll"), seconds=10)
    assert not MeterReading.objects.filter(status="pending").exists()
    assert Polling.objects.filter(ended_at__gte=F("began_at")).exists()
    scene.start_again()
    scene.check()
