"""The standalone verifier: golden packs hold, and each kind of tampering is found.

Every tampering is done twice: naively, on the bytes, where the digest tells; and by a forger who
makes counts, sums and digest right again, where only what was signed tells.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from hashlib import sha512
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature

from minting.engine.audit_pack import (
    TYPES,
    PackBatch,
    PackExcluded,
    PackLine,
    PackReading,
    PackTransaction,
    PackUnpaid,
)
from minting.engine.receipts import memo_text, merkle_root, parse_memo
from tests.factories.readings import address, keypair
from tests.verify.packs import GOLDEN, VERIFY, changed, lines_of, pack_from, verify

Lines = Sequence[PackLine]
Forge = Callable[[Lines], Lines]


@pytest.fixture(params=GOLDEN, ids=lambda path: path.stem)
def golden(request):
    return request.param.read_bytes()


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The modules of docs/verify, in this process."""
    monkeypatch.syspath_prepend(str(VERIFY.parent))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    import verify_pack  # type: ignore[import-not-found]

    return verify_pack


@pytest.fixture
def verdict(program, monkeypatch, capsys, tmp_path) -> Callable[[bytes], tuple[int, str]]:
    """As ``verify``, in this process."""

    def run(pack: bytes) -> tuple[int, str]:
        file = tmp_path / "pack.jsonl"
        file.write_bytes(pack)
        return program.main([str(file)]), capsys.readouterr().out

    return run


def test_there_are_golden_packs_of_both_formats_of_transactions():
    versions = {
        line.version
        for path in GOLDEN
        for line in lines_of(path.read_bytes())
        if isinstance(line, PackTransaction)
    }
    assert versions == {"0", "1"}


def test_a_golden_pack_verifies_without_our_packages(golden, tmp_path):
    code, told = verify(golden, tmp_path)
    assert (code, told.splitlines()[-1]) == (0, "VERIFIED"), told
    assert "14 paid, 1 not, 1 left out; 2 transactions, 3.500000000 tokens" in told
    assert "chain     not asked" in told


def test_a_golden_pack_is_read_and_written_again_to_the_last_byte(golden):
    assert pack_from(lines_of(golden)) == golden


def test_a_pack_comes_by_standard_input_too(program, golden, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(golden)))
    assert program.main(["-"]) == 0
    assert capsys.readouterr().out.endswith("VERIFIED\n")


def test_what_cannot_be_read_is_not_verified(tmp_path):
    assert verify(tmp_path / "none", tmp_path)[0] == 2
    code, told = verify(GOLDEN[0], tmp_path, "--rpc", "file:///etc/hostname")
    assert (code, told) == (2, "UNVERIFIED: a node has an http or https URL\n")


def test_both_know_the_same_lines(program):
    for name, kind in TYPES.items():
        assert set(program.lines.__globals__["TYPES"][name]) == {each.name for each in fields(kind)}


# ------------------------------------------------------------------ forgers


def _reading(**change: Callable[[PackReading], Any]) -> Forge:
    return lambda lines: changed(
        lines, PackReading, lambda row: {name: make(row) for name, make in change.items()}
    )


def _transaction(number: int = 0, **change: Callable[[PackTransaction], Any]) -> Forge:
    return lambda lines: changed(
        lines,
        PackTransaction,
        lambda row: {name: make(row) for name, make in change.items()},
        number,
    )


def _batch(**change: Any) -> Forge:
    return lambda lines: changed(lines, PackBatch, lambda _: change)


def _another_order(lines: Lines) -> Lines:
    """Two readings change places, and their numbers with them."""
    first, second = lines[2:4]
    assert isinstance(first, PackReading)
    assert isinstance(second, PackReading)
    return [*lines[:2], replace(second, index=0), replace(first, index=1), *lines[4:]]


def _without_a_reading(lines: Lines) -> Lines:
    row, dropped = lines[1], lines[2]
    assert isinstance(row, PackTransaction)
    assert isinstance(dropped, PackReading)
    rest = [
        replace(line, index=line.index - 1) if isinstance(line, PackReading) else line
        for line in lines[3 : 2 + row.readings]
    ]
    less = replace(row, readings=row.readings - 1, base_units=row.base_units - dropped.base_units)
    return _counted([lines[0], less, *rest, *lines[2 + row.readings :]])


def _without_a_transaction(lines: Lines) -> Lines:
    """The last one and its readings; the batch still says how many were minted."""
    place = max(at for at, line in enumerate(lines) if isinstance(line, PackTransaction))
    row = lines[place]
    assert isinstance(row, PackTransaction)
    return [*lines[:place], *lines[place + 1 + row.readings :]]


def _counted(lines: Lines) -> Lines:
    """The batch's own sums are made right as well."""
    paid = sum(isinstance(line, PackReading) for line in lines)
    rows = [line for line in lines if isinstance(line, PackTransaction)]
    unpaid = sum(isinstance(line, PackUnpaid) for line in lines)
    return _batch(
        successful_mints=paid,
        total_readings=paid + unpaid,
        fee_paid_lamports=sum(row.network_fee_lamports + row.priority_fee_lamports for row in rows),
        rent_paid_lamports=sum(row.rent_lamports for row in rows),
    )(lines)


def _swapped_memos(lines: Lines) -> Lines:
    roots = [line.memo_root for line in lines if isinstance(line, PackTransaction)]
    lines = _transaction(0, memo_root=lambda _: roots[1])(lines)
    return _transaction(1, memo_root=lambda _: roots[0])(lines)


def _memo_inside_swapped(lines: Lines) -> Lines:
    """The memo in the bytes is made to fit other readings; then the signature does not."""
    row, reading = lines[1], lines[2]
    assert isinstance(row, PackTransaction)
    assert isinstance(reading, PackReading)
    at = row.raw.index(b"gt1.") + 27
    other = row.raw[:at] + bytes([row.raw[at] ^ 1]) + row.raw[at + 1 :]
    return _transaction(raw=lambda _: other)(lines)


def _signed_by_another(lines: Lines) -> Lines:
    """A valid signature, of somebody whom the bytes do not name."""
    row = lines[1]
    assert isinstance(row, PackTransaction)
    signature = bytes(Signature.from_string(row.signature))
    message = row.raw.replace(signature, b"").removeprefix(b"\x01" if row.version == "0" else b"")
    forged = bytes(keypair("thief").sign_message(message))
    return _transaction(
        raw=lambda row: row.raw.replace(signature, forged),
        signature=lambda _: str(Signature(forged)),
    )(lines)


def _paid_twice(lines: Lines) -> Lines:
    row = lines[1]
    assert isinstance(row, PackTransaction)
    end = 2 + row.readings
    return [*lines[:end], *lines[1:end], *lines[end:]]


FORGERIES: dict[str, tuple[Forge, str]] = {
    "amount": (_reading(base_units=lambda row: row.base_units + 1), "the root in its memo"),
    "wallet": (_reading(wallet=lambda _: address("thief")), "the root in its memo"),
    "id": (_reading(id=lambda row: UUID(int=row.id.int - 1)), "the root in its memo"),
    "kwh": (_reading(kwh=lambda row: row.kwh * 2), "of another rate than those before"),
    "dropped reading": (_without_a_reading, "the root in its memo"),
    "dropped transaction": (_without_a_transaction, "the batch says successful_mints 14"),
    "transaction's sum": (_transaction(base_units=lambda row: row.base_units - 1), "base_units is"),
    "swapped memos": (_swapped_memos, "memo_root are not those in its bytes"),
    "memo's batch": (_transaction(memo_batch=lambda _: UUID(int=7)), "not those in its bytes"),
    "changed bytes": (
        _transaction(raw=lambda row: row.raw[:-1] + bytes([row.raw[-1] ^ 1])),
        "its bytes",
    ),
    "cut bytes": (_transaction(raw=lambda row: row.raw[:-1]), "its bytes are cut off"),
    "no bytes": (_transaction(raw=lambda _: b""), "its bytes are cut off"),
    "longer bytes": (_transaction(raw=lambda row: row.raw + b"\0"), "followed by others"),
    "memo in the bytes": (_memo_inside_swapped, "its bytes are not signed by"),
    "fee": (_transaction(network_fee_lamports=lambda _: 4_000), "network_fee_lamports is 4000"),
    "priority fee": (_transaction(priority_fee_lamports=lambda _: 9), "priority_fee_lamports is 9"),
    "fee payer": (_transaction(fee_payer=lambda _: address("thief")), "fee_payer is"),
    "blockhash": (_transaction(blockhash=lambda _: address("other")), "blockhash is"),
    "version": (_transaction(version=lambda _: "2"), "version is 2"),
    "signature": (
        _transaction(signature=lambda _: str(Signature(sha512(b"other").digest()))),
        "signature is",
    ),
    "another's signature": (_signed_by_another, "its bytes are not signed by"),
    "status": (_transaction(status=lambda _: "lost"), "no transaction is lost"),
    "failed after all": (_transaction(status=lambda _: "failed"), "it failed, without an error"),
    "error": (_transaction(error=lambda _: '"AccountInUse"'), "it is finalized, with an error"),
    "slot": (_transaction(slot=lambda _: None), "it is finalized, with an error or without"),
    "more accounts": (_transaction(new_accounts=lambda _: 60), "new_accounts and rent do not fit"),
    "twice": (_paid_twice, "is listed twice"),
    "mint": (_batch(mint=address("other mint")), "something else than minting"),
    "token program": (_batch(token_program=address("other")), "its bytes call Token"),
    "decimals": (_batch(decimals=6), "something else than minting"),
    "batch": (_batch(id=UUID(int=7)), "its memo names another batch"),
    "counts": (_batch(total_readings=99), "the batch says total_readings 99"),
    "costs": (_batch(rent_paid_lamports=1), "the batch says rent_paid_lamports 1"),
    "reason": (
        lambda lines: changed(lines, PackUnpaid, lambda _: {"code": ""}),
        "is unpaid without a reason",
    ),
    "exclusion": (
        lambda lines: changed(lines, PackExcluded, lambda _: {"code": ""}),
        "is left out without a reason",
    ),
    "unpaid": (
        lambda lines: changed(lines, PackUnpaid, lambda _: {"id": lines[2].id}),
        "is paid, or told twice",
    ),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forgery_with_the_right_digest_is_found(golden, verdict, forgery):
    forge, due = FORGERIES[forgery]

    code, told = verdict(pack_from(forge(lines_of(golden))))

    assert code == 1, told
    assert due in told
    assert told.splitlines()[-1].startswith("DIFFERS: ")
    assert "the end says" not in told or forgery == "twice", "the forger was careful"


def test_readings_in_another_order_are_found(golden, verdict):
    code, told = verdict(pack_from(_another_order(lines_of(golden))))
    assert code == 1
    assert "readings are not in the order of their ids" in told
    assert "the root in its memo is not that of the readings listed" in told


def test_all_transactions_dropped_and_everything_counted_anew_needs_the_chain(golden, verdict):
    """What an offline look cannot find; tests/minting/service/test_audit_pack.py finds it."""
    code, told = verdict(pack_from(_counted(_without_a_transaction(lines_of(golden)))))
    assert code == 0
    assert "chain     not asked" in told


# ------------------------------------------------------------------ careless ones


def naive(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def change(pack: bytes) -> bytes:
        assert old in pack
        return pack.replace(old, new, 1)

    return change


NAIVE = {
    "amount": naive(b'"base_units":"250000000"', b'"base_units":"250000001"'),
    "kwh of all": lambda pack: pack.replace(b'"kwh":"0.250000000"', b'"kwh":"0.500000000"'),
    "meter": naive(b"HOUSE-1", b"HOUSE-2"),
    "reason": naive(b"The token account is frozen", b"The token account is missing"),
    "requester": naive(b'"operator"', b'"somebody"'),
    "end": naive(b'"fee_paid_lamports":10', b'"fee_paid_lamports":20'),
    "a line": lambda pack: b"".join(
        line for line in pack.splitlines(keepends=True) if b'"type":"excluded"' not in line
    ),
}


@pytest.mark.parametrize("change", NAIVE)
def test_a_changed_file_is_found(golden, verdict, change):
    code, told = verdict(NAIVE[change](golden))
    assert code == 1
    assert "the end says" in told or "the batch says" in told


BROKEN = {
    "empty": (lambda _: b"", "line 1 is cut off"),
    "cut in a line": (lambda pack: pack[:-20], "is cut off"),
    "cut between lines": (lambda pack: pack[: pack.rindex(b"\n", 0, -1) + 1], "is cut off"),
    "something behind": (lambda pack: pack + b"\n", "something follows the end"),
    "another version": (naive(b'"version":1', b'"version":2'), "knows version 1"),
    "version as text": (naive(b'"version":1', b'"version":"1"'), "knows version 1"),
    "another format": (naive(b"gridtoken/audit-pack", b"gridtoken/other"), "does not begin"),
    "a key twice": (naive(b'"decimals":9', b'"decimals":9,"decimals":9'), "canonical"),
    "a blank": (naive(b'"decimals":9', b'"decimals": 9'), "canonical"),
    "a float": (naive(b'"decimals":9', b'"decimals":9.0'), "decimals is not"),
    "infinity": (naive(b'"decimals":9', b'"decimals":Infinity'), "decimals is not"),
    "a truth": (naive(b'"decimals":9', b'"decimals":true'), "decimals is not"),
    "null": (naive(b'"decimals":9', b'"decimals":null'), "decimals is not"),
    "a huge number": (naive(b'"decimals":9', b'"decimals":' + b"9" * 5_000), "is not JSON"),
    "a large number": (naive(b'"decimals":9', b'"decimals":9223372036854775808'), "decimals is"),
    "negative": (naive(b'"decimals":9', b'"decimals":-9'), "decimals is not"),
    "no u64": (
        naive(b'"base_units":"250000000"', b'"base_units":"18446744073709551616"'),
        "base_units is not",
    ),
    "a field too many": (naive(b'"decimals":9', b'"decimals":9,"decimalz":9'), "do not belong"),
    "a field too few": (naive(b'"decimals":9,', b""), "do not belong"),
    "an unknown type": (naive(b'"type":"reading"', b'"type":"receipt"'), "an unknown type"),
    "a type of lists": (naive(b'"type":"reading"', b'"type":[]'), "an unknown type"),
    "a list": (lambda pack: pack.replace(b"\n", b"\n[]\n", 1), "canonical"),
    "depth": (lambda _: b"[" * 15_000 + b"\n", "is not JSON"),
    "a long line": (lambda pack: b" " * 20_000 + pack, "too long"),
    "two packs": (lambda pack: pack.splitlines(keepends=True)[0] + pack, "in the wrong place"),
    "no wallet": (
        naive(b'"type":"reading","wallet":"', b'"type":"reading","wallet":"11'),
        "wallet",
    ),
    "an index": (naive(b'"index":1,', b'"index":3,'), "no transaction announces here"),
    "unpaid first": (
        lambda pack: b"".join(
            (lines := pack.splitlines(keepends=True))[:1] + lines[-3:-2] + lines[1:]
        ),
        "in the wrong place",
    ),
}


@pytest.mark.parametrize("damage", BROKEN)
def test_a_file_that_is_no_pack_is_refused_in_one_sentence(golden, verdict, damage):
    spoil, due = BROKEN[damage]

    code, told = verdict(spoil(golden))

    assert code == 1
    assert told.startswith("REFUSED: ")
    assert told.count("\n") == 1
    assert due in told


def test_a_terminal_obeys_nothing_that_a_pack_says(golden, verdict):
    evil = _batch(requested_by="\x1b[2J\u202eroot\nVERIFIED")(lines_of(golden))
    _, told = verdict(pack_from(evil))
    assert "\x1b" not in told
    assert "\u202e" not in told
    assert "\\x1b[2J\\u202eroot\\nVERIFIED" in told


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_byte_can_be_changed_dropped_or_added(golden, verdict, data):
    at = data.draw(st.integers(0, len(golden) - 1))
    byte = data.draw(st.binary(max_size=1))
    pack = golden[:at] + byte + golden[at + data.draw(st.integers(0, 1)) :]
    assert verdict(pack)[0] == (0 if pack == golden else 1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_any_bytes_are_a_transaction_or_malformed(program, raw):
    for start in (b"", b"\x81", b"\x01" + bytes(64) + b"\x80\x01"):
        try:
            sys.modules["chain"].decode(start + raw)
        except sys.modules["chain"].Malformed as error:
            assert "its bytes" in str(error)  # noqa: PT017 - either way is right


# ------------------------------------------------------------------ its own arithmetic


def test_memos_are_read_as_the_product_reads_them(program):
    chain = sys.modules["chain"]
    batch, root = UUID(int=2**127 + 7), bytes(range(32))
    text = memo_text(batch, root)
    assert chain.memo_of(text) == (batch.hex, root.hex())
    for other in ("", "gt1", text[:-1], text + "A", "gt2" + text[3:], text[:25] + "B" + text[26:]):
        assert chain.memo_of(other) is None
        assert parse_memo(other) is None


def test_signatures_are_judged_as_the_network_does(program):
    chain = sys.modules["chain"]
    for number in range(20):
        key = keypair(number)
        message = sha512(bytes([number])).digest()
        signature = bytes(key.sign_message(message))
        public = bytes(key.pubkey())
        assert chain.signed_by(public, message, signature)
        assert not chain.signed_by(public, message + b"!", signature)
        assert not chain.signed_by(bytes(Keypair().pubkey()), message, signature)
        for at in (0, 31, 32, 63):
            other = bytearray(signature)
            other[at] ^= 1
            assert not chain.signed_by(public, message, bytes(other))
        s = int.from_bytes(signature[32:], "little") + chain.ORDER
        assert not chain.signed_by(public, message, signature[:32] + s.to_bytes(32, "little"))


def test_token_accounts_are_those_of_the_network(program):
    from spl.token.constants import TOKEN_PROGRAM_ID
    from spl.token.instructions import get_associated_token_address

    chain = sys.modules["chain"]
    mint = keypair("mint").pubkey()
    for number in range(30):
        wallet = keypair(number).pubkey()
        due = get_associated_token_address(wallet, mint)
        found = chain.token_account(bytes(wallet), bytes(TOKEN_PROGRAM_ID), bytes(mint))
        assert Pubkey(found) == due
        assert chain.base58(str(due), 32) == bytes(due)
        assert chain.to_base58(bytes(due)) == str(due)


@pytest.mark.parametrize("size", [*range(10), 31, 32, 33, 100])
def test_trees_are_those_of_rfc_6962(program, size):
    from minting.engine.receipts import leaf_hash

    tree = sys.modules["chain"].Tree()
    entries = [bytes([number]) * 3 for number in range(size)]
    for entry in entries:
        tree.add(entry)
    assert tree.root() == merkle_root([leaf_hash(entry) for entry in entries])
