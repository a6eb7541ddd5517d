"""docs/webhooks.md says what is sent, and its receivers verify it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from minting.engine.events import DeliveryState, EventType
from minting.service.describe import describe_batch
from minting.webhooks import backoff, ledger, post, signing
from minting.webhooks.payloads import Event, Message, body, messages
from minting.webhooks.upkeep import KEPT
from tests.minting.admin import journal

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "webhooks.md").read_text()
EXAMPLES = {
    example["type"]: example
    for example in map(json.loads, re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))
}
KEY = signing.secret("installation", UUID(int=1), "00" * 32)


def built(example: dict[str, Any]) -> str:
    """The bytes that the code makes of what the example tells."""
    type_, data = EventType(example["type"]), example["data"]
    moment = datetime.fromisoformat(example["timestamp"])
    if type_ is EventType.TEST:
        return body(Message("msg_1", type_, moment, data), example["sequence"])
    batch = UUID(data.get("batch_id") or data.get("id") or str(UUID(int=0)))
    described = {batch: data} if type_ is EventType.BATCH_FINISHED else {}
    facts = {"status": data["status"]} if described else dict(reversed(data.items()))
    [message] = messages([Event(UUID(int=2), type_, batch, facts, moment)], described)
    return body(message, example["sequence"])


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_examples_are_what_is_sent(example):
    assert built(example) == json.dumps(example, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.django_db
def test_a_batch_in_the_example_has_the_fields_of_a_batch():
    described = describe_batch(journal.minted_batch(), with_results=False)
    assert list(EXAMPLES["batch.finished"]["data"]) == list(described)


def test_every_event_and_state_is_documented_with_an_example():
    named = set(re.findall(r"`([a-z_.]+)`", PAGE))
    assert {each.value for each in EventType} <= named
    assert {each.value for each in DeliveryState} <= named
    alike = {"batch.reopened", "transaction.resolved", "minting.resumed"}
    assert set(EXAMPLES) == {each.value for each in EventType} - alike


def test_numbers_in_the_page_are_the_codes():
    waits = [wait.total_seconds() for wait in backoff.WAITS]
    hours = [2, 5, 10, 14, 20, 24]
    assert waits == [5, 300, 1800, *(3600 * each for each in hours)]
    assert "after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h" in PAGE
    assert (KEPT.days, ledger.DISABLED_AFTER.days) == (30, 5)
    assert (post.CONNECT_TIMEOUT, post.READ_TIMEOUT, post.TOTAL_TIMEOUT) == (4, 8, 10)


@pytest.mark.skipif(not shutil.which("openssl"), reason="one of the receivers is openssl's")
def test_the_pages_receivers_verify_what_is_sent(tmp_path):
    content = built(EXAMPLES["reading.failed"]).encode()
    secret = signing.shown(KEY)
    sent = signing.headers("msg_1", int(time.time()), content, [bytes(32), KEY])
    snippets = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(snippets) == 2
    for snippet in snippets:
        names: dict[str, Any] = {}
        exec(snippet, names)  # noqa: S102 — the page's own code is what is tested
        assert names["receive"](secret, sent, content)["type"] == "reading.failed"
        for changed in (
            (secret, sent, content + b" "),
            (signing.shown(bytes(31) + b"x"), sent, content),
            (secret, signing.headers("msg_1", int(time.time()) - 999, content, [KEY]), content),
        ):
            with pytest.raises(Exception, match=r"signature|secret|old"):
                names["receive"](*changed)

    (tmp_path / "body").write_bytes(content)
    [script] = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    told = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={"SECRET": secret, "ID": "msg_1", "TIMESTAMP": sent["webhook-timestamp"]}
        | {"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == sent["webhook-signature"].split()[1]
