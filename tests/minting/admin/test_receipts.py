"""Receipts: written for what is final, checked by us and by the standalone program."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from spl.token.constants import TOKEN_2022_PROGRAM_ID

from minting.engine.errors import ReceiptRefused
from minting.engine.receipt_file import MAX_SIZE, read_receipt, write_receipt
from minting.engine.receipts import inclusion_path, leaf
from minting.models import BatchSource, MintResult
from minting.service.audit.receipts import check, receipt_of
from minting.service.chain.session import open_session
from minting.service.drive.recover import recover
from minting.service.requests.prepare import request_batch
from tests.factories.village import harvest, village
from tests.verify.recorded import node

pytestmark = pytest.mark.django_db(transaction=True)

VERIFY = Path(__file__).resolve().parents[3] / "docs" / "verify" / "verify_receipt.py"
GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "receipt-1.json"
ANSWERS = GOLDEN.with_name("receipt-1-answers.json")


def program(file: bytes, folder: Path, url: str) -> tuple[int, str]:
    """Exit code and output of the standalone program, in an interpreter without our packages."""
    path = folder / "receipt.json"
    path.write_bytes(file)
    ran = subprocess.run(
        [sys.executable, "-E", "-s", "-S", str(VERIFY), str(path), "--rpc", url],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.stderr == ""
    return ran.returncode, ran.stdout


def checked(file: bytes):
    with open_session() as session:
        return check(session, read_receipt(file))


def change(file: bytes, **fields: object) -> bytes:
    return json.dumps({**json.loads(file), **fields}).encode()


@pytest.fixture
def paid(minting_chain, drain):
    """Seven readings of three wallets in one final transaction."""
    readings = [*harvest(village(2), each=3), *harvest(village(1))]
    request_batch([each.id for each in readings], source=BatchSource.CLI, strict=True)
    drain()
    minting_chain.net.wait_slots(40)
    with open_session() as session:
        recover(session)
    return list(MintResult.objects.filter(status="finalized").order_by("id"))


def test_a_receipt_holds_here_and_for_the_program_and_no_forgery_does(
    paid, minting_chain, tmp_path, staff
):
    assert len(paid) == 7
    files = {each.id: write_receipt(receipt_of(each.id)) for each in paid}
    for each in paid:
        file = files[each.id]
        assert len(file) < MAX_SIZE
        assert str(each.reading_id) in file.decode()
        assert checked(file).holds
    file, url = files[paid[0].id], minting_chain.net.url
    code, said = program(file, tmp_path, url)
    assert (code, said.split()[0]) == (0, "verified")

    other = json.loads(files[paid[-1].id])
    own = json.loads(file)
    path = own["path"]
    forgeries = {
        "amount": {"base_units": str(int(own["base_units"]) + 1)},
        "reading": {"reading_id": str(UUID(int=7))},
        "wallet": {"wallet": other["wallet"]},
        "place": {"index": (own["index"] + 1) % own["tree_size"]},
        "path": {"path": [path[0][::-1], *path[1:]]},
        "batch": {"batch_id": str(UUID(int=8))},
        "mint": {"mint": other["wallet"]},
        "cluster": {"genesis_hash": other["wallet"]},
        "tree": {"tree_size": 4},
        "signature": {"signature": "1" * 64},
        "shorter path": {"path": path[1:]},
        "token program": {"token_program": str(TOKEN_2022_PROGRAM_ID)},
        "format": {"format": "gridtoken/audit-pack"},
        "version": {"version": 2},
    }
    for name, fields in forgeries.items():
        forged = change(file, **fields)
        try:
            held = checked(forged).holds
        except ReceiptRefused:
            held = False
        assert not held, name
        assert program(forged, tmp_path, url)[0] == 1, name

    # Staff hand it out, and check what somebody brings.
    auditor = staff("auditor", "minting.view_mintresult")
    answer = auditor.get(reverse("admin:minting_receipt", args=[paid[0].id]))
    assert answer.content == file
    assert f"receipt-{paid[0].reading_id}.json" in answer["Content-Disposition"]
    page = reverse("admin:minting_mintresult_check")
    assert auditor.get(page).status_code == 200
    for sent, told in (
        (file, "The receipt holds."),
        (change(file, base_units="1"), "The receipt does not hold."),
        (b"{}", "No receipt: it is no gridtoken/receipt"),
        (b"x" * 5_000, "larger than any receipt"),
    ):
        shown = auditor.post(page, {"file": SimpleUploadedFile("receipt.json", sent)})
        assert told in shown.content.decode()
    stranger = staff("stranger")
    assert stranger.get(page).status_code == 403
    assert stranger.get(reverse("admin:minting_receipt", args=[paid[0].id])).status_code == 403


def test_what_is_not_final_has_none_and_a_journal_that_lies_writes_none(paid):
    MintResult.objects.filter(id=paid[1].id).update(status="confirmed")
    with pytest.raises(ReceiptRefused, match="not final"):
        receipt_of(paid[1].id)
    MintResult.objects.filter(id=paid[2].id).update(base_units=1)
    with pytest.raises(ReceiptRefused, match="reconcile first"):
        receipt_of(paid[0].id)


def test_a_receipt_among_five_thousand_is_small():
    receipt = read_receipt(GOLDEN.read_bytes())
    account = receipt.token_account
    leaves = [leaf(UUID(int=number), account, 1) for number in range(5_000)]
    assert len(inclusion_path(leaves, 4_000)) <= 13
    assert len(write_receipt(receipt)) + 13 * 70 < MAX_SIZE


def test_a_golden_receipt_is_still_read_written_and_verified(tmp_path):
    golden = GOLDEN.read_bytes()
    assert write_receipt(read_receipt(golden)) == golden
    answers = json.loads(ANSWERS.read_text())
    with node(lambda method, _: answers[method]) as url:
        code, said = program(golden, tmp_path, url)
    assert (code, said.split()[0]) == (0, "verified")
