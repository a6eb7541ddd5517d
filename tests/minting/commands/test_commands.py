"""Commands as a person or a script uses them: the answer on stdout and nothing else."""

from __future__ import annotations

import json
import time
from io import StringIO
from threading import Thread
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django_q.models import OrmQ

from minting.models import MintBatch
from minting.tasks import look
from readings.models import MeterReading
from tests.factories.readings import MeterReadingFactory, household, outsider

pytestmark = pytest.mark.django_db(transaction=True)


def run(*arguments: str) -> tuple[str, str]:
    """What a command writes to stdout and stderr."""
    out, err = StringIO(), StringIO()
    call_command(*arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


class Worker:
    """Looks for work once a batch is queued, in a thread of its own."""

    def __enter__(self):
        self.thread = Thread(target=self._work)
        self.thread.start()

    def __exit__(self, *_):
        self.thread.join(60)

    @staticmethod
    def _work():
        try:
            for _ in range(600):
                if MintBatch.objects.filter(status="queued").exists():
                    look()
                    return
                time.sleep(0.05)
        finally:
            connection.close()


def test_mint_queues_a_batch_and_its_nudge_in_one_go(minting_chain):
    reading = household().reading()

    out, _ = run("mint", "--reading", str(reading.id), "--json")

    answer = json.loads(out)
    assert answer["status"] == "queued"
    assert answer["results"][0]["reading_id"] == str(reading.id)
    assert OrmQ.objects.count() == 1
    reading.refresh_from_db()
    assert reading.status == "minting"


def test_mint_pending_waits_until_all_is_minted(minting_chain):
    for _ in range(3):
        MeterReadingFactory()

    with Worker():
        out, err = run("mint", "--pending", "--wait", "--json")

    answer = json.loads(out)
    assert (answer["status"], answer["successful_mints"]) == ("succeeded", 3)
    assert all(result["tx_signature"] for result in answer["results"])
    assert "3 readings queued" in err


def test_nothing_pending_is_no_failure(minting_chain):
    out, err = run("mint", "--pending", "--json")

    assert json.loads(out) is None
    assert "Nothing is pending" in err


def test_a_named_reading_that_cannot_be_minted_is_told(minting_chain):
    held = outsider().reading(status="held", code="no_wallet")
    unknown = uuid4()

    with pytest.raises(CommandError) as refused:
        run("mint", "--reading", str(held.id), "--reading", str(unknown))

    assert f"{held.id}:" in str(refused.value)
    assert "unknown_reading" in str(refused.value)
    assert not MintBatch.objects.exists()


def test_either_pending_or_readings(minting_chain):
    with pytest.raises(CommandError, match="either --pending or --reading"):
        run("mint")


def test_cancel_takes_back_what_is_not_signed(minting_chain):
    reading = household().reading()
    out, _ = run("mint", "--reading", str(reading.id), "--json")
    batch = json.loads(out)["id"]

    out, err = run("mint", "--cancel", batch, "--json")

    assert json.loads(out)["status"] == "cancelled"
    assert "1 readings are free again" in err
    assert MeterReading.objects.get().status == "pending"
    with pytest.raises(CommandError, match="There is no batch"):
        run("mint", "--cancel", str(uuid4()))
    MintBatch.objects.update(status="succeeded", cancel_requested_at=None)
    with pytest.raises(CommandError, match=r"finished \(succeeded\)"):  # as the API's 409
        run("mint", "--cancel", batch)


def test_estimate_answers_the_contract_s_fields(minting_chain):
    reading = household().reading()
    held = outsider().reading(status="held", code="no_wallet")

    out, _ = run("estimate", "--reading", str(reading.id), "--reading", str(held.id), "--json")
    text, _ = run("estimate", "--pending")

    answer = json.loads(out)
    assert answer["transactions"] == answer["new_accounts"] == answer["wallets"] == 1
    assert answer["total_lamports"] == answer["network_fee_lamports"] + answer["rent_lamports"]
    assert [each["code"] for each in answer["excluded"]] == ["no_wallet"]
    assert "1 readings to 1 wallets in 1 transactions" in text
    assert MeterReading.objects.filter(status="pending").count() == 1


def test_create_mint_finds_what_it_made(minting_chain):
    out, err = run("create_mint", "--freeze-authority", str(minting_chain.authority.pubkey()))

    assert out.splitlines()[-1] == str(minting_chain.mint)
    assert "was there already" in err


def test_recover_tells_what_it_did(minting_chain):
    out, _ = run("recover", "--json")

    assert json.loads(out) == {
        "looked_up": 0,
        "settled": 0,
        "expired": 0,
        "open": 0,
        "nudged": False,
    }
