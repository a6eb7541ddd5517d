"""A golden pack and receipt of a batch that a program minted: verified as long as there are any."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from minting.engine.receipt_file import read_receipt, write_receipt
from tests.minting.admin.test_receipts import program as verify_receipt
from tests.programs import cast
from tests.verify.packs import ROOT, lines_of, pack_from, verify
from tests.verify.recorded import node, recorded

FOLDER = ROOT / "tests" / "golden"
PACK = (FOLDER / "anchor-pack-1.jsonl").read_bytes()
RECEIPT = (FOLDER / "anchor-receipt-1.json").read_bytes()
ANSWERS: dict[str, Any] = json.loads((FOLDER / "anchor-1-answers.json").read_text())


def test_the_pack_verifies_by_a_node_or_by_the_programs_word(tmp_path):
    assert pack_from(lines_of(PACK)) == PACK
    code, told = verify(PACK, tmp_path)
    assert code == 2, told
    assert told.splitlines()[-1].startswith("UNVERIFIED")
    program = str(cast.address("platform_mint"))
    assert verify(PACK, tmp_path, "--program", program)[0] == 0
    assert verify(PACK, tmp_path, "--program", str(cast.address("seed_mint")))[0] == 2
    with node(recorded(ANSWERS)) as url:
        code, told = verify(PACK, tmp_path, "--rpc", url)
    assert (code, told.splitlines()[-1]) == (0, "VERIFIED"), told


def test_the_receipt_verifies(tmp_path):
    assert write_receipt(read_receipt(RECEIPT)) == RECEIPT
    with node(recorded(ANSWERS)) as url:
        code, told = verify_receipt(RECEIPT, tmp_path, url)
    assert (code, told.split()[0]) == (0, "verified")


def answers(called: Any) -> dict[str, Any]:
    """What a node says that keeps other inner instructions of each transaction."""
    told = deepcopy(ANSWERS)
    for key, answer in told.items():
        if key.startswith("getTransaction "):
            answer["meta"]["innerInstructions"] = called
    return told


@pytest.mark.parametrize(
    ("called", "code", "verdict"),
    [([], 1, "DIFFERS"), (None, 2, "UNVERIFIED")],
    ids=["minted nothing", "not kept"],
)
def test_what_the_program_did_is_the_nodes_word_not_the_files(tmp_path, called, code, verdict):
    with node(recorded(answers(called))) as url:
        ended, told = verify(PACK, tmp_path, "--rpc", url)
        assert (ended, told.splitlines()[-1].split(":")[0]) == (code, verdict), told
        assert verify_receipt(RECEIPT, tmp_path, url)[0] == code
