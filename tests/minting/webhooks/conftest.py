"""A receiver on loopback, and an endpoint that leads to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from pytest_django import Settings

from minting.engine.events import EventType
from minting.models import WebhookDelivery, WebhookEndpoint
from minting.webhooks import courier
from minting.webhooks.courier import CourierReport
from minting.webhooks.endpoints import CHOOSABLE, make_endpoint
from tests.minting.webhooks.receiver import Receiver


@dataclass
class Line:
    """An endpoint, its secret, and the receiver at its end."""

    endpoint: WebhookEndpoint
    secret: str
    receiver: Receiver

    def now(self) -> WebhookEndpoint:
        self.endpoint.refresh_from_db()
        return self.endpoint

    def deliveries(self) -> list[WebhookDelivery]:
        return list(self.endpoint.deliveries.order_by("sequence"))

    def skip(self) -> None:
        """As waiting for all that waits would."""
        self.endpoint.deliveries.pending().update(due_at="2020-01-01T00:00Z")
        WebhookEndpoint.objects.filter(id=self.endpoint.id).update(
            rests_until=None, lease_until=None, claim=None
        )


@pytest.fixture
def lines(settings: Settings) -> Iterator[Callable[..., Line]]:
    settings.WEBHOOK_ALLOW_PRIVATE = True
    made: list[Receiver] = []

    def make(events: tuple[EventType, ...] = CHOOSABLE) -> Line:
        receiver = Receiver()
        made.append(receiver)
        endpoint, secret = make_endpoint(url=receiver.url, events=events, by="admin")
        return Line(endpoint, secret, receiver)

    yield make
    for receiver in made:
        receiver.close()


@pytest.fixture
def line(lines: Callable[..., Line]) -> Line:
    return lines()


def send() -> CourierReport:
    """As a worker would, with nobody else wanting it."""
    return courier.deliver(busy=lambda: False)
