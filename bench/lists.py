"""How long lists and ``POST mint-batch`` take on the database as it is.

Asked in this process through Django's handler, middleware and templates included, so that only a
web server's own microseconds are missing. Every list of the admin with each filter of its sidebar,
each kind of search, each sortable column both ways, page 2 and the last; every list of the API with
each filter and ordering.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import islice
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Model
from django.http import HttpResponseBase
from django.test import Client, RequestFactory, override_settings
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from rest_framework.test import APIClient

from minting.access.models import ApiToken
from minting.access.scopes import Scope
from minting.models import MintBatch, MintResult, MintTransaction
from minting.monitoring.page import forget
from minting.service.requests.cancel import cancel_batch
from readings.models import Meter, MeterReading, Owner, Wallet
from readings.rules import ReadingStatus

API_LIMIT, ADMIN_LIMIT = 150.0, 300.0
"""Milliseconds at the median."""

ADMIN_LISTS: tuple[type[Model], ...] = (
    MeterReading,
    MintResult,
    MintTransaction,
    MintBatch,
    Owner,
    Wallet,
    Meter,
)
MOST_BATCHES = 40
"""That there are readings for, when ``POST mint-batch`` is repeated."""

STAFF, MACHINE = "bench-staff", "bench-machine"


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one page or endpoint takes, in milliseconds."""

    name: str
    p50: float
    p95: float
    queries: int
    limit: float
    ok: bool


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, and how long it may take."""

    name: str
    send: Callable[[], HttpResponseBase]
    limit: float
    status: int = 200


def measure(*, repeat: int = 7, only: str = "", mint: bool | None = None) -> list[Timing]:
    """Times everything whose name contains ``only``; prints a row for each.

    Args:
        repeat: How often each is asked, after once for the caches.
        only: A part of the names.
        mint: Whether ``POST mint-batch`` is asked too, which needs a node and a mint; unless told,
            where there is a mint. Its batches are cancelled again.
    """
    storages = {**settings.STORAGES, "staticfiles": {"BACKEND": PLAIN_FILES}}
    hosts = [*settings.ALLOWED_HOSTS, "testserver"]
    with override_settings(STORAGES=storages, ALLOWED_HOSTS=hosts, SECURE_SSL_REDIRECT=False):
        timings = []
        for ask in asks(mint=bool(settings.ENERGY_TOKEN_MINT) if mint is None else mint):
            if only in ask.name:
                timings.append(_timed(ask, repeat))
                print_row(timings[-1])
    return timings


PLAIN_FILES = "django.contrib.staticfiles.storage.StaticFilesStorage"
"""Links as they are, so that nothing has to be collected."""


def asks(*, mint: bool) -> Iterator[Ask]:
    """Everything that is measured."""
    samples = Samples()
    with _machine() as machine:
        yield from _api(machine, samples)
        if mint:
            with _minting(machine) as send:
                yield Ask("POST mint-batch", send, API_LIMIT, status=202)
    yield Ask("figures: /metrics, nothing kept", _metrics, ADMIN_LIMIT)
    with _staff() as staff:
        for model in ADMIN_LISTS:
            yield from _admin(staff, model, samples)


def _metrics() -> HttpResponseBase:
    forget()
    return Client().get("/metrics")


def print_row(timing: Timing) -> None:
    """One line of the table, to stderr."""
    mark = "" if timing.ok else f"  above {timing.limit:.0f}"
    sys.stderr.write(
        f"{timing.name:<64} {timing.p50:8.1f} {timing.p95:8.1f} {timing.queries:4}{mark}\n"
    )


def _timed(ask: Ask, repeat: int) -> Timing:
    with CaptureQueriesContext(connection) as captured:
        _answered(ask)
    queries = len(captured)  # now: the next request forgets them
    taken = sorted(_answered(ask) for _ in range(repeat))
    p50, p95 = statistics.median(taken), taken[-max(1, repeat // 20)]
    return Timing(ask.name, p50, p95, queries, ask.limit, ok=p50 < ask.limit)


def _answered(ask: Ask) -> float:
    start = time.perf_counter()
    answer = ask.send()
    taken = (time.perf_counter() - start) * 1000
    if answer.status_code != ask.status:
        raise AssertionError(f"{ask.name}: {answer.status_code}, not {ask.status}")
    return taken


# ------------------------------------------------------------------ who asks, and for what


@contextmanager
def _staff() -> Iterator[Client]:
    User.objects.filter(username=STAFF).delete()
    user = User.objects.create_superuser(STAFF)
    client = Client()
    client.force_login(user)
    yield client
    user.delete()


@contextmanager
def _machine() -> Iterator[APIClient]:
    # Its batches name it for good, so it stays; the token does not.
    user, _ = User.objects.get_or_create(username=MACHINE)
    token, secret = ApiToken.objects.issue(user=user, scopes=list(Scope), expires_in=None)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {secret}")
    yield client
    token.delete()


class Samples:
    """What there is to search and filter for: common, rare, old, new, and none."""

    def __init__(self) -> None:
        newest = MeterReading.objects.order_by("-submitted_at", "-id")[:1].get()
        oldest = MeterReading.objects.order_by("submitted_at", "id")[:1].get()
        minted = MintResult.objects.filter(status="finalized").select_related("reading__meter")
        old, new = (minted.order_by(order)[:1].get() for order in ("id", "-id"))
        self.first_day = oldest.period_end + timedelta(days=1)
        self.last_day = newest.period_end
        middle = oldest.period_end + (newest.period_end - oldest.period_end) / 2
        self.middle_day = middle
        self.reading, self.old_reading = new.reading_id, old.reading_id
        self.signature, self.old_signature = new.tx_signature, old.tx_signature
        self.wallet = new.wallet_address
        self.reading_batch = new.batch_id
        self.large_batch = MintBatch.objects.order_by("-total_readings", "id")[:1].get().id
        owner = Owner.objects.get(user_id=new.user_id)
        self.owner, self.owner_name = owner.user_id, owner.name
        self.email = owner.email
        self.owner_prefix, self.wide_owner = owner.user_id[:-2], owner.user_id[:5]
        self.meter = new.reading.meter.serial
        self.meter_prefix, self.wide_meter = self.meter[:-2], self.meter[:2]
        self.external = (
            MeterReading.objects.exclude(external_id="").values_list("external_id", flat=True)[:1]
        )[0]
        self.location = Meter.objects.get(serial=self.meter).location.split()[0]

    def searches(self, model: type[Model]) -> dict[str, object]:
        """Texts by what they are; every list is asked for all of them."""
        texts = {
            "reading": self.reading,
            "old reading": self.old_reading,
            "batch": self.large_batch,
            "signature": self.signature,
            "old signature": self.old_signature,
            "wallet": self.wallet,
            "owner": self.owner,
            "beginning of owners": self.owner_prefix,
            "beginning of all owners": self.wide_owner,
            "name": self.owner_name,
            "family name": self.owner_name.split()[-1],
            "email": self.email,
            "meter": self.meter,
            "beginning of meters": self.meter_prefix,
            "beginning of all meters": self.wide_meter,
            "external id": self.external,
            "location": self.location,
            "nothing": "no-such-thing",
        }
        if model is MeterReading:
            return texts | self.beginnings
        return texts if model in (Owner, Wallet, Meter) else {
            name: texts[name]
            for name in (
                "reading", "old reading", "batch", "signature", "old signature", "wallet", "nothing"
            )
        }  # fmt: skip

    @property
    def beginnings(self) -> dict[str, object]:
        """Texts that begin what readings are found by, and one as pages shorten it."""
        return {
            "beginning of a reading": str(self.reading)[:13],
            "beginning of a signature": self.signature[:8],
            "beginning of a wallet": self.wallet[:8],
            "wallet as shown": f"{self.wallet[:8]}…{self.wallet[-4:]}",
        }

    @property
    def lately(self) -> dict[str, object]:
        """A filter for what ended on the last day."""
        return {"period_end_from": f"{self.last_day:%Y-%m-%d}"}

    @property
    def typed(self) -> dict[str, Sequence[object]]:
        """What is typed into the filters that offer no choices, by parameter."""
        return {
            "meter": [self.meter, "no-such-thing"],
            "owner": [self.owner, "no-such-thing"],
            "batch": [self.large_batch, self.reading_batch],
            "period_end_from": [f"{each:%Y-%m-%d}" for each in (self.middle_day, self.last_day)],
            "period_end_to": [f"{each:%Y-%m-%d}" for each in (self.first_day, self.middle_day)],
            "kwh_amount_from": ["0.1", "2.49", "99", "1000"],
            "kwh_amount_to": ["-1.4", "0.1", "2"],
        }


# ------------------------------------------------------------------ the admin


def _admin(staff: Client, model: type[Model], samples: Samples) -> Iterator[Ask]:
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    lists = f"admin {model._meta.verbose_name_plural}"

    def ask(what: str, **query: object) -> Ask:
        address = f"{url}?{urlencode(query)}"
        return Ask(f"{lists}: {what}", partial(staff.get, address), ADMIN_LIMIT)

    yield ask("first page")
    shown = _shown(model, url)
    pages = shown.paginator.num_pages
    for page in dict.fromkeys(each for each in (2, pages) if each <= pages):
        yield ask(f"page {page} of {pages}", p=page)
    for name, value in _filters(shown, samples):
        yield ask(f"{name}={value}", **{name: value})
    if model is MeterReading:
        yield ask("within some kWh", kwh_amount_from="2.40", kwh_amount_to="2.41")
        yield ask("held and large", status__exact="held", kwh_amount_from="99")
        yield ask("of the last days and large", kwh_amount_from="2.4", **samples.lately)
        held = reverse("admin:readings_meterreading_held")
        yield Ask(f"{lists}: what is held, by cause", partial(staff.get, held), ADMIN_LIMIT)
    for at, column in enumerate(shown.list_display):
        if column in (shown.sortable_by or ()) and shown.get_ordering_field(column):
            yield ask(f"by {column}", o=at)
            yield ask(f"by {column}, descending", o=-at)
    if admin.site._registry[model].search_fields:
        for what, text in samples.searches(model).items():
            yield ask(f"search for {what}", q=text)


def _shown(model: type[Model], url: str) -> ChangeList:
    """The list as a member of staff sees it, with its filters and columns."""
    request = RequestFactory().get(url)
    request.user = User.objects.get(username=STAFF)
    return admin.site._registry[model].get_changelist_instance(request)


def _filters(shown: ChangeList, samples: Samples) -> Iterator[tuple[str, object]]:
    """Parameters and values of the sidebar: each choice where there are choices."""
    for spec in shown.filter_specs:
        offered = getattr(spec, "lookup_choices", None)
        names = [name for name in spec.expected_parameters() if name]
        if not offered:
            offered = getattr(getattr(spec, "field", None), "flatchoices", None)
        if not offered and not samples.typed.keys() & set(names):
            offered = [("0", "No"), ("1", "Yes")]
        yield from ((names[0], value) for value, _ in offered or ())
        for name in names:
            yield from ((name, value) for value in samples.typed.get(name, ()))


# ------------------------------------------------------------------ the API


def _api(machine: APIClient, samples: Samples) -> Iterator[Ask]:
    def ask(name: str, url: str, **query: object) -> Ask:
        told = " ".join(f"{key}={value}" for key, value in query.items())
        address = f"{url}?{urlencode(query)}"
        return Ask(f"GET {name} {told}".strip(), partial(machine.get, address), API_LIMIT)

    readings = reverse("api:reading-list")
    orders = [f"{sign}{each}" for each in ORDERS for sign in ("-", "")]
    narrowed: list[dict[str, object]] = [{}]
    narrowed += [{"status": status.value} for status in ReadingStatus]
    narrowed += [{"meter": samples.meter}, {"owner": samples.owner}, {"wallet": samples.wallet}]
    narrowed += [{"meter": "none"}, {"owner": "none"}]
    days = (samples.first_day, samples.middle_day, samples.last_day + timedelta(days=1))
    for name in ("period_after", "period_before"):
        narrowed += [{name: each.isoformat()} for each in days]
    for filters in narrowed:
        for ordering in orders:
            yield ask("readings", readings, **filters, ordering=ordering)
    yield from _next_pages(machine, readings)
    batches = reverse("api:mint-batch-list")
    yield ask("mint-batches", batches)
    yield ask("mint-batches", batches, ordering="created_at")
    for batch in (samples.large_batch, samples.reading_batch):
        results = reverse("api:mint-batch-results", kwargs={"batch_id": batch})
        yield ask("mint-batches/{id}/results", results)
        yield ask("mint-batches/{id}/results", results, ordering="-reading_id")
        detail = reverse("api:mint-batch-detail", kwargs={"batch_id": batch})
        yield ask("mint-batches/{id}", detail)
    one = reverse("api:reading-detail", kwargs={"reading_id": samples.reading})
    yield ask("readings/{id}", one)
    for column in ("submitted_at", "reading_timestamp", "kwh_amount"):
        unminted = reverse("doors:unminted")
        yield ask("unminted", unminted, sort_by=column, sort_order="asc", page_size=100)
        yield ask("unminted", unminted, sort_by=column, page=20, page_size=100)
    yield ask("meters/readings", reverse("doors:readings"), limit=100, offset=1_000)
    stats = partial(machine.get, reverse("doors:stats"))
    yield Ask("GET meters/stats", stats, ADMIN_LIMIT)  # sums over the whole table


ORDERS = ("submitted_at", "period_end")


def _next_pages(machine: APIClient, readings: str) -> Iterator[Ask]:
    """The page after the first, by its cursor."""
    for ordering in ORDERS:
        second = machine.get(readings, {"ordering": ordering}).json()["next"]
        send = partial(machine.get, second)
        yield Ask(f"GET readings page 2 by {ordering}", send, API_LIMIT)


@contextmanager
def _minting(machine: APIClient) -> Iterator[Callable[[], HttpResponseBase]]:
    """Names other pending readings each time, as many as one call may; freed again at the end."""
    url, size = reverse("api:mint-batch"), settings.BLOCKCHAIN_MAX_BATCH_SIZE
    pending = MeterReading.objects.mintable().filter(owner__wallets__retired_at=None)
    ids = iter([str(each) for each in pending.values_list("id", flat=True)[: size * MOST_BATCHES]])
    made: list[UUID] = []

    def send() -> HttpResponseBase:
        answer = machine.post(url, {"reading_ids": list(islice(ids, size))}, format="json")
        made.append(UUID(answer.json()["id"]))
        return answer

    yield send
    for batch in made:
        cancel_batch(batch, by=MACHINE)
