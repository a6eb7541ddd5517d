"""``/metrics``: what it tells is what the tables hold, in Prometheus' own two formats."""

from __future__ import annotations

import tomllib
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import Sum
from django.test import Client
from django.utils import timezone
from prometheus_client import CollectorRegistry
from prometheus_client import Counter as Counted
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from gridtoken import VERSION
from gridtoken.env import BASE_DIR
from minting.journal import stop_minting
from minting.models import (
    MintBatch,
    MintInfo,
    MintTransaction,
    PulseKind,
    ReconcileRun,
    Tally,
    WebhookEvent,
)
from minting.models.fields import first_id_since
from minting.monitoring import page, publishing
from minting.monitoring.final import Ledger, Sums
from minting.service.watch import worker_health
from minting.service.watch.pulses import Beat, note
from readings.models import MeterReading
from tests.factories.readings import household, outsider
from tests.minting.admin import journal

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def told(client: Client, accept: str = "") -> Samples:
    """Every sample by its name and labels, once."""
    page.forget()
    answer = client.get("/metrics", headers={"accept": accept} if accept else {})
    assert answer.status_code == 200, answer.content
    assert answer["Content-Type"].startswith(accept.partition(";")[0] or "text/plain")
    parse = openmetrics_families if accept else text_string_to_metric_families
    samples: Samples = {}
    for family in parse(answer.content.decode()):
        assert family.documentation.endswith("."), family.name
        assert family.name.startswith("gridtoken_")
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in samples
            samples[key] = sample.value
    return samples


def of(samples: Samples, name: str, **labels: str) -> float:
    return samples[f"gridtoken_{name}", frozenset(labels.items())]


@pytest.mark.django_db
def test_it_tells_what_the_tables_hold(client: Client, settings: Settings):
    minted = journal.minted_batch(readings=3)
    journal.failed_batch(readings=2)
    doubtful = journal.doubtful_batch()
    journal.open_batch()
    outsider().reading(status="held", code="no_wallet")
    household().reading(status="not_minted", code="consumption")
    stop_minting(reason="a look", by="approver")
    worker_health.report(1, workers=4, started_at=timezone.now())
    settings.MINT_AUTHORITY_ADDRESS = str(journal_payer())
    note(PulseKind.PAYER, [Beat(journal_payer(), facts={"lamports": 7, "slot": 1, "floor": 2})])
    WebhookEvent.objects.create(
        message=minted.id, type="batch.finished", facts={}, happened_at=timezone.now()
    )

    samples = told(client)

    statuses = Counter(MeterReading.objects.values_list("status", flat=True))
    for status in ("pending", "held", "not_minted", "minting", "in_doubt", "failed", "minted"):
        assert of(samples, "readings", status=status) == statuses[status], status
    assert of(samples, "held_readings", code="no_wallet") == 1
    for batch in MintBatch.objects.all():
        alike = MintBatch.objects.filter(status=batch.status, source=batch.source).count()
        assert of(samples, "batches", status=batch.status, source=batch.source) == alike
    for row in MintTransaction.objects.all():
        alike = MintTransaction.objects.filter(status=row.status, version=row.version).count()
        assert of(samples, "transactions", status=row.status, version=row.version) == alike
    final = MintTransaction.objects.filter(status="finalized")
    paid = final.aggregate(fee=Sum("network_fee_lamports"), rent=Sum("rent_lamports"))
    assert of(samples, "minted_readings_total") == 3
    assert of(samples, "spent_lamports_total", kind="network_fee") == paid["fee"]
    assert of(samples, "spent_lamports_total", kind="rent") == paid["rent"]
    assert of(samples, "transactions_in_doubt") == doubtful.transactions.count()
    assert of(samples, "oldest_doubt_age_seconds") >= 0
    assert of(samples, "oldest_open_batch_age_seconds", state="at_work") >= 0
    assert of(samples, "minting_stopped") == 1
    assert of(samples, "workers") == 4
    assert of(samples, "clusters", state="alive") == 1
    assert of(samples, "authority_balance_lamports") == 7
    assert of(samples, "authority_floor_lamports") == 2
    assert of(samples, "queue_up") == 1
    assert of(samples, "webhook_events_waiting") == 1
    assert of(samples, "build_info", version=VERSION) == 1
    pages = told(client, OPENMETRICS)
    assert pages.keys() >= {key for key in samples if not key[0].startswith("gridtoken_http")}


@pytest.mark.django_db
def test_a_comparison_that_never_comes_to_an_end_grows_old(client: Client):
    """Without a sample nobody would be told."""
    name = ("gridtoken_reconcile_age_seconds", frozenset[tuple[str, str]]())
    assert name not in told(client)

    journal.minted_batch(readings=1)
    mint = MintInfo.objects.all()[0]
    for status, hours in (("failed", 3), ("failed", 2)):
        run = ReconcileRun.objects.create(mint=mint, status=status)
        when = run.started_at - timedelta(hours=hours)
        ReconcileRun.objects.filter(id=run.id).update(started_at=when, finished_at=when)
    assert 3 * 3600 <= told(client)[name] < 3 * 3600 + 60

    ReconcileRun.objects.create(mint=mint, status="clean", finished_at=timezone.now())
    ReconcileRun.objects.create(mint=mint, status="failed", finished_at=timezone.now())
    assert told(client)[name] < 60


def journal_payer() -> str:
    row = MintTransaction.objects.first()
    assert row is not None
    return str(row.fee_payer)


@pytest.mark.django_db
def test_who_may_read(client: Client, settings: Settings):
    def status(**more: Any) -> int:
        return client.get("/metrics", **more).status_code

    assert status() == 200
    assert status(REMOTE_ADDR="10.0.0.9") == 403
    # A proxy on this machine that nobody trusts speaks for whoever is outside.
    assert status(HTTP_X_FORWARDED_FOR="203.0.113.7") == 403
    assert status(HTTP_HOST="192.0.2.4:8000") == 200
    assert client.post("/metrics").status_code == 405

    settings.METRICS_TOKEN = "a token"
    assert status() == 401
    assert status(HTTP_AUTHORIZATION="Bearer another") == 401
    assert status(HTTP_AUTHORIZATION="Basic a token") == 401
    assert status(HTTP_AUTHORIZATION="Bearer a token", REMOTE_ADDR="10.0.0.9") == 200


@pytest.mark.django_db
def test_processes_add_up_whoever_is_asked():
    """Two processes count the same series; one that forked begins anew; buckets are complete."""
    registries = [CollectorRegistry() for _ in range(2)]
    series = [Counted("calls", "Calls.", ["to"], registry=each) for each in registries]
    first, second = (publishing.Publisher([each]) for each in registries)
    series[0].labels("a").inc(2)
    assert first.publish() == 1
    assert first.publish() == 0  # nothing twice
    series[1].labels("a").inc(3)
    second.forget()  # its parent's, before a fork
    series[1].labels("a").inc(4)
    series[1].labels("b").inc()
    assert second.publish() == 2

    rows = Tally.objects.values_list("name", "labels", "value")

    assert set(rows) == {("calls_total", '{"to":"a"}', 6.0), ("calls_total", '{"to":"b"}', 1.0)}


@pytest.mark.django_db
def test_requests_are_counted_by_view_and_no_caller_makes_series_of_his_own(client: Client):
    publishing.publisher.forget()
    Tally.objects.all().delete()
    client.get("/healthz")
    client.get("/healthz")
    client.generic("FROBNICATE", f"/nowhere/{journal.minted_batch(readings=1).id}")

    samples = told(client)

    name, well = "http_request_duration_seconds", {"method": "GET", "view": "healthz"}
    assert of(samples, f"{name}_count", **well, status="200") == 2
    assert of(samples, f"{name}_bucket", **well, status="200", le="+Inf") == 2
    assert of(samples, f"{name}_bucket", **well, status="200", le="0.005") <= 2
    assert of(samples, f"{name}_count", method="other", view="none", status="404") == 1
    assert not [key for key in samples if "FROBNICATE" in str(key)]


@pytest.mark.django_db
def test_what_is_final_is_added_up_once():
    batch = journal.minted_batch()
    resident = household()
    rows = [resident.reading() for _ in range(3)]
    id_ = first_id_since(timezone.now() - timedelta(days=2))
    old = journal.transaction(batch, batch.slices.get(), rows, id=id_, status="finalized", slot=5)
    ledger = Ledger()
    kind = (old.status, old.version)
    assert ledger.sums()[kind].readings == 4
    frontier = ledger._up_to

    journal.minted_batch(readings=2)  # younger than the clocks may differ

    assert ledger.sums()[kind] == _sum_of_all(kind)
    assert ledger._up_to >= frontier > MintTransaction.objects.earliest("id").id
    was = MintTransaction.objects.get(id=id_).network_fee_lamports
    # What is behind the frontier is not read again.
    MintTransaction.objects.filter(id__lt=frontier).update(network_fee_lamports=99)
    assert ledger.sums()[kind] == Ledger().sums()[kind] + Sums(network_fee=was - 99)


def _sum_of_all(kind: tuple[str, str]) -> Sums:
    rows = list(MintTransaction.objects.filter(status=kind[0], version=kind[1]))
    return Sums(
        len(rows),
        sum(len(row.reading_ids) for row in rows),
        int(sum(row.base_units for row in rows)),
        sum(row.network_fee_lamports for row in rows),
        sum(row.priority_fee_lamports for row in rows),
        sum(row.rent_lamports for row in rows),
    )


def test_the_version_is_the_projects():
    declared = tomllib.loads((BASE_DIR / "pyproject.toml").read_text())

    assert declared["project"]["version"] == VERSION
