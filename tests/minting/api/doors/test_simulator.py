"""A client as the platform's simulator is one, with its retries, against a server on a socket."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import httpx
import pytest
from django.contrib.auth.models import User

from minting.access.models import ApiToken
from minting.access.scopes import Scope
from minting.api.doors import paying
from minting.models import MintBatch
from readings.models import MeterReading
from tests.factories.readings import QUARTER, household, outsider
from tests.minting.api.doors.clients import END, simulator_january, trading_ui
from tests.minting.conftest import MintingChain

TRIES = 3


class LossyTransport(httpx.HTTPTransport):
    """Hands requests over, and loses the first answer to each address."""

    def __init__(self) -> None:
        super().__init__()
        self.lost: set[str] = set()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        if request.url.path not in self.lost:
            self.lost.add(request.url.path)
            response.close()
            raise httpx.ReadTimeout("the answer was lost", request=request)
        return response


class Simulator:
    """Three tries on 5xx and lost answers, any 4xx is final, a refused batch is sent singly."""

    def __init__(self, base: str, key: str) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        self.http = httpx.Client(
            base_url=base, headers=headers, transport=LossyTransport(), timeout=20
        )
        self.tries = 0

    def send(self, path: str, body: Any) -> dict[str, Any] | None:
        """What the server took it for, or nothing: the reading is given up."""
        for attempt in range(TRIES):
            self.tries += 1
            try:
                response = self.http.post(path, json=body)
            except httpx.TransportError:
                continue
            if response.status_code in (200, 201):
                told: dict[str, Any] = response.json()
                return told
            if response.status_code < 500:
                return None
            time.sleep(2**attempt)
        return None


@pytest.mark.django_db(transaction=True)
def test_a_simulator_whose_answers_are_lost_is_paid_once(
    live_server: Any,
    minting_chain: MintingChain,
    working: Callable[[], AbstractContextManager[None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(paying, "WAIT", 1)  # on a busy machine shorter than a minting: a 504
    house, none = household(), outsider()
    user = User.objects.create_user("simulator")
    _, key = ApiToken.objects.issue(user=user, scopes=[Scope.SUBMIT, Scope.MINT], expires_in=None)
    simulator = Simulator(live_server.url, key)
    ends = [END - back * QUARTER for back in range(1, 4)]
    items = [
        simulator_january(meter.serial, end, 0.5)
        for end in ends
        for meter in (house.meter, none.meter)
    ]

    batch = simulator.send("/api/v1/public/meters/batch/readings", {"readings": items})
    assert batch == {
        "success_count": 6,
        "failed_count": 0,
        "message": "6 of 6 readings stored",
    }
    assert simulator.tries == 2
    assert MeterReading.objects.count() == 6

    with working():
        told = simulator.send(
            "/api/v1/meters/HOUSE-1/readings?auto_mint=true",
            trading_ui("HOUSE-1", END, 0.25),
        )
    simulator.http.close()

    assert told is not None
    assert told["minted"] is True
    assert told["tx_signature"]
    assert told["message"].startswith("Reading known already.")
    assert minting_chain.supply() == minting_chain.balance_of(house.wallet.address) == 25 * 10**7
    assert MintBatch.objects.count() == 1
