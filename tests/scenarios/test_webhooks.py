"""From a batch to a receiver through a real cluster: nobody calls a courier but the cluster."""

from __future__ import annotations

import pytest

from minting.models import BatchSource, WebhookDelivery
from minting.service.requests.prepare import request_batch
from minting.service.stopping import resume_minting, stop_minting
from tests.factories.readings import MeterReadingFactory
from tests.minting.conftest import minting_chain
from tests.minting.webhooks.conftest import line, lines
from tests.scenarios.clusters import QueueCluster, until

__all__ = ["line", "lines", "minting_chain"]

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_cluster_tells_a_receiver(minting_chain, child_environment, line, tmp_path):
    cluster = QueueCluster(
        {
            **child_environment,
            "SOLANA_RPC_URL": minting_chain.net.url,
            "MINT_AUTHORITY_KEYPAIR": str(minting_chain.keypair_file),
            "ENERGY_TOKEN_MINT": str(minting_chain.mint),
            "MINT_JOURNAL_DIR": str(tmp_path / "journal"),
            "WEBHOOK_ALLOW_PRIVATE": "true",
        },
        tmp_path / "cluster.log",
    )
    try:
        batch = request_batch([MeterReadingFactory().id], source=BatchSource.CLI, strict=True)
        until(lambda: line.receiver.got, cluster.words)
        # Nothing of the queue belongs to these: the watchdog sees them.
        stop_minting("no reason", by="somebody")
        resume_minting(by="somebody")
        delivered = WebhookDelivery.objects.filter(state="delivered")
        until(lambda: delivered.count() == 3, cluster.words)
    finally:
        cluster.end()

    told = line.receiver.verified(line.secret)
    assert [each["type"] for each in told] == [
        "batch.finished",
        "minting.stopped",
        "minting.resumed",
    ]
    assert told[0]["data"]["id"] == str(batch.id)
