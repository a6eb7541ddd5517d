"""The tree against the public RFC 6962 vectors, the memo against its description."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from minting.engine import receipts
from minting.engine.receipts import (
    inclusion_path,
    leaf,
    leaf_data,
    leaf_hash,
    memo_in_history,
    memo_text,
    merkle_root,
    parse_memo,
    plan_leaves,
    plan_root,
    root_from_path,
)
from tests.minting.engine.cast import BATCH_ID, destination, plan_of, wallet

# Certificate Transparency's reference tree (google/certificate-transparency, merkletree tests).
ENTRIES = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]
LEAVES = [leaf_hash(bytes.fromhex(entry)) for entry in ENTRIES]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
PATHS = {
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
hashes = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=70)


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_rfc_6962(size):
    assert merkle_root(LEAVES[:size]).hex() == ROOTS[size]


@pytest.mark.parametrize(("index", "size"), PATHS)
def test_paths_are_those_of_rfc_6962(index, size):
    path = inclusion_path(LEAVES[:size], index)
    assert [node.hex() for node in path] == PATHS[index, size]


@given(leaves=hashes, data=st.data())
def test_every_path_leads_to_the_root_and_no_other_leaf_does(leaves, data):
    index = data.draw(st.integers(0, len(leaves) - 1))
    path = inclusion_path(leaves, index)
    root = merkle_root(leaves)
    assert root_from_path(leaves[index], index, len(leaves), path) == root
    assert root_from_path(leaf_hash(leaves[index]), index, len(leaves), path) != root


@given(leaves=hashes, data=st.data())
def test_a_path_of_another_height_is_refused(leaves, data):
    index = data.draw(st.integers(0, len(leaves) - 1))
    path = inclusion_path(leaves, index)
    with pytest.raises(ValueError, match="longer"):
        root_from_path(leaves[index], index, len(leaves), [bytes(32), *path])
    if path:
        with pytest.raises(ValueError, match="shorter"):
            root_from_path(leaves[index], index, len(leaves), path[1:])


def test_places_outside_the_tree_are_refused():
    with pytest.raises(IndexError):
        inclusion_path(LEAVES, 8)
    with pytest.raises(ValueError, match="no leaf"):
        root_from_path(LEAVES[0], 1, 1, [])


def test_the_last_leaf_is_not_doubled():
    assert merkle_root(LEAVES[:3]) != merkle_root([*LEAVES[:3], LEAVES[2]])


def test_a_leaf_names_reading_wallet_and_units():
    data = leaf_data(UUID(int=1), Pubkey(bytes(range(32))), 2**64 - 1)
    assert data == b"gridtokenx/receipt/1\0" + bytes(15) + b"\1" + bytes(range(32)) + b"\xff" * 8
    assert leaf(UUID(int=1), Pubkey(bytes(range(32))), 2**64 - 1) == leaf_hash(data)
    with pytest.raises(OverflowError):
        leaf(UUID(int=1), Pubkey.default(), 2**64)


def test_a_plans_leaves_are_ordered_by_the_bytes_of_the_reading_ids():
    plan = plan_of([destination(0, 5, 7), destination(1, 11)])
    wallets = {
        payment.reading_id: wallet(number)
        for number in (0, 1)
        for payment in plan.destinations[number].group.payments
    }
    paid = plan.payments
    assert plan_leaves(plan) == [
        leaf(each.reading_id, wallets[each.reading_id], each.base_units) for each in paid
    ]
    assert plan_root(plan) == merkle_root(plan_leaves(plan))


@given(batch_id=st.uuids(), root=st.binary(min_size=32, max_size=32))
def test_a_memo_has_70_bytes_and_is_read_back(batch_id, root):
    text = memo_text(batch_id, root)
    assert len(text.encode()) == receipts.MEMO_LENGTH
    assert parse_memo(text) == (batch_id, root)
    assert memo_in_history(f"[70] {text}") == (batch_id, root)
    assert memo_in_history(f"[2] hi; [70] {text}") == (batch_id, root)


def test_a_memo_of_another_root_length_is_refused():
    with pytest.raises(ValueError, match="32 bytes"):
        memo_text(BATCH_ID, bytes(31))


MEMO = memo_text(BATCH_ID, bytes(32))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        MEMO[:-1],
        MEMO + "A",
        "gt2" + MEMO[3:],
        MEMO[:-1] + "B",  # the same bytes, written in another way
        MEMO.replace("gt1.", "gt1!"),
        MEMO[:10] + "=" + MEMO[11:],
        MEMO[:10] + "é" + MEMO[11:],
        "." * 70,
    ],
)
def test_a_memo_of_anybody_elses_is_not_ours(text):
    assert parse_memo(text) is None
    assert memo_in_history(f"[70] {text}") is None


def test_a_row_without_memo_has_none():
    assert memo_in_history(None) is None
    assert memo_in_history(MEMO) is None
