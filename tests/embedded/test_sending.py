"""Sending and simulating: what is refused, with which code, and what is only foretold."""

from __future__ import annotations

from base64 import b64encode

import pytest
from solders.hash import Hash
from solders.instruction import CompiledInstruction, Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from .chain import (
    HOUSEHOLD,
    MINT,
    OPERATOR,
    OUTSIDER,
    SOL,
    Chain,
    Refused,
    memo,
    minted,
    opened,
    pay,
    text,
    token_account,
    v0,
    v1,
    wallets,
)

BASE64 = {"encoding": "base64"}
PROCESSED = BASE64 | {"preflightCommitment": "processed"}


def refused(chain: Chain, method: str, *params: object) -> Refused:
    with pytest.raises(Refused) as caught:
        chain.ask(method, *params)
    return caught.value


def unsigned(tx: VersionedTransaction) -> VersionedTransaction:
    return VersionedTransaction.populate(tx.message, [Signature.default()] * len(tx.signatures))


def test_the_signature_is_answered_before_anything_happened(chain: Chain) -> None:
    tx = v1([pay(HOUSEHOLD.pubkey(), SOL)], chain.blockhash)
    assert chain.ask("sendTransaction", text(tx), PROCESSED) == str(tx.signatures[0])
    assert chain.balance(HOUSEHOLD.pubkey()) == 0


def test_the_same_bytes_again_change_nothing_and_are_no_error_without_preflight(
    chain: Chain,
) -> None:
    tx = v1([pay(HOUSEHOLD.pubkey(), SOL)], chain.blockhash)
    chain.send(tx)
    status = chain.land(tx)
    assert chain.send(tx) == str(tx.signatures[0])
    chain.blocks()
    assert chain.ledger.refused[-1] == (tx.signatures[0], "AlreadyProcessed")
    assert chain.status(str(tx.signatures[0]))["slot"] == status["slot"]
    assert chain.balance(HOUSEHOLD.pubkey()) == SOL
    error = refused(chain, "sendTransaction", text(tx), PROCESSED)
    assert (error.code, error.data["err"]) == (-32002, "AlreadyProcessed")
    assert error.message == (
        "Transaction simulation failed: This transaction has already been processed"
    )


def test_another_limit_is_another_transaction_and_both_land(chain: Chain) -> None:
    blockhash = chain.blockhash
    for _ in range(2):
        assert chain.land(v0([pay(HOUSEHOLD.pubkey(), SOL)], blockhash))["err"] is None
        assert chain.land(v1([pay(HOUSEHOLD.pubkey(), SOL)], blockhash))["err"] is None
        blockhash = chain.blockhash
    assert chain.balance(HOUSEHOLD.pubkey()) == 4 * SOL


def test_a_failing_preflight_answers_the_error_and_the_logs(chain: Chain) -> None:
    tx = v1([pay(HOUSEHOLD.pubkey(), 1_000 * SOL)], chain.blockhash)
    error = refused(chain, "sendTransaction", text(tx), PROCESSED)
    assert error.code == -32002
    assert error.message == (
        "Transaction simulation failed: Error processing Instruction 0: custom program error: 0x1"
    )
    assert error.data["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert "Transfer: insufficient lamports" in error.data["logs"][1]
    assert error.data["unitsConsumed"] == 150


def test_preflight_asks_the_finalized_bank_unless_told(chain: Chain) -> None:
    tx = v1([pay(HOUSEHOLD.pubkey(), SOL)], chain.blockhash)
    error = refused(chain, "sendTransaction", text(tx), BASE64)
    assert (error.code, error.data["err"]) == (-32002, "BlockhashNotFound")


@pytest.mark.parametrize("skip", [True, False])
def test_a_wrong_signature_is_refused(chain: Chain, *, skip: bool) -> None:
    tx = v1([pay(HOUSEHOLD.pubkey(), SOL)], chain.blockhash)
    forged = VersionedTransaction.populate(tx.message, [OUTSIDER.sign_message(b"other")])
    error = refused(chain, "sendTransaction", text(forged), PROCESSED | {"skipPreflight": skip})
    assert (error.code, error.message) == (-32003, "Transaction signature verification failure")


def test_bytes_that_are_no_transaction_are_invalid_params(chain: Chain) -> None:
    for encoded in (b64encode(b"no transaction").decode(), "not base64!", ""):
        assert refused(chain, "sendTransaction", encoded, BASE64).code == -32602


def test_what_does_not_sanitize_is_invalid_params(chain: Chain) -> None:
    good = MessageV0.try_compile(OPERATOR.pubkey(), [memo("m")], [], chain.blockhash)
    wild = CompiledInstruction(9, b"", b"")
    message = MessageV0(good.header, good.account_keys, good.recent_blockhash, [wild], [])
    tx = VersionedTransaction.populate(message, [Signature.default()])
    for method in ("sendTransaction", "simulateTransaction"):
        error = refused(chain, method, text(tx), BASE64)
        assert error.code == -32602
        assert error.message.startswith("invalid transaction:")


def test_an_account_named_twice_is_invalid_params(chain: Chain) -> None:
    good = Message.new_with_blockhash([memo("m")], OPERATOR.pubkey(), chain.blockhash)
    keys = [*good.account_keys, HOUSEHOLD.pubkey(), HOUSEHOLD.pubkey()]
    message = Message.new_with_compiled_instructions(
        1, 0, 3, keys, chain.blockhash, good.instructions
    )
    tx = VersionedTransaction(message, [OPERATOR])
    error = refused(chain, "sendTransaction", text(tx), BASE64)
    assert error.message == "invalid transaction: Account loaded twice"


def test_more_than_64_instructions_are_invalid_params(chain: Chain) -> None:
    error = refused(chain, "sendTransaction", text(v0([memo("")] * 65, chain.blockhash)), BASE64)
    assert error.code == -32602


def test_a_program_that_is_not_there_lands_and_pays(chain: Chain) -> None:
    missing = Instruction(OUTSIDER.pubkey(), b"", [])
    wallet = Instruction(HOUSEHOLD.pubkey(), b"", [])
    chain.fund(HOUSEHOLD.pubkey(), SOL)
    for instruction, err in (
        (missing, "ProgramAccountNotFound"),
        (wallet, "InvalidProgramForExecution"),
    ):
        before = chain.balance(OPERATOR.pubkey())
        assert chain.land(v0([instruction], chain.blockhash))["err"] == err
        assert before - chain.balance(OPERATOR.pubkey()) == 5_000


def test_simulation_changes_nothing(mint_chain: Chain) -> None:
    (wallet,) = wallets(1)
    tx = v1([opened(wallet), minted(wallet, 5)], mint_chain.blockhash)
    before = mint_chain.balance(OPERATOR.pubkey())
    first, second = mint_chain.simulate(tx), mint_chain.simulate(tx)
    assert first == second
    assert first["err"] is None
    assert mint_chain.balance(OPERATOR.pubkey()) == before
    account = mint_chain.ask("getAccountInfo", str(token_account(wallet)))
    assert account["value"] is None


def test_simulation_foretells_what_landing_does(mint_chain: Chain) -> None:
    (wallet,) = wallets(1)
    tx = v1([opened(wallet), minted(wallet, 5)], mint_chain.blockhash)
    foretold = mint_chain.simulate(tx, innerInstructions=True)
    mint_chain.land(tx)
    meta = mint_chain.transaction(str(tx.signatures[0]), encoding="jsonParsed")["meta"]
    for told, became in (
        ("fee", "fee"),
        ("logs", "logMessages"),
        ("unitsConsumed", "computeUnitsConsumed"),
        ("innerInstructions", "innerInstructions"),
        ("preBalances", "preBalances"),
        ("postBalances", "postBalances"),
        ("postTokenBalances", "postTokenBalances"),
    ):
        assert foretold[told] == meta[became]
    kinds = [one["parsed"]["type"] for one in foretold["innerInstructions"][0]["instructions"]]
    assert kinds == [
        "getAccountDataSize",
        "createAccount",
        "initializeImmutableOwner",
        "initializeAccount3",
    ]


def test_simulation_sees_the_bank_of_its_commitment(chain: Chain) -> None:
    chain.blocks(40)
    chain.fund(OUTSIDER.pubkey(), SOL)
    tx = v1([pay(HOUSEHOLD.pubkey(), 1_000_000, OUTSIDER)], chain.blockhash, signers=(OUTSIDER,))
    options = {"replaceRecentBlockhash": True}
    assert chain.simulate(tx, **options)["err"] is None
    for commitment in ("confirmed", "finalized"):
        result = chain.simulate(tx, commitment=commitment, **options)
        assert (result["err"], result["logs"]) == ("AccountNotFound", [])
    chain.blocks(2)
    assert chain.simulate(tx, commitment="confirmed", **options)["err"] is None
    assert chain.balance(OUTSIDER.pubkey()) == SOL


def test_simulation_needs_no_signature_unless_asked(chain: Chain) -> None:
    tx = unsigned(v1([pay(HOUSEHOLD.pubkey(), SOL)], chain.blockhash))
    assert chain.simulate(tx)["err"] is None
    error = refused(chain, "simulateTransaction", text(tx), BASE64 | {"sigVerify": True})
    assert error.code == -32003


def test_a_replaced_blockhash_is_told_and_excludes_verifying(chain: Chain) -> None:
    tx = v1([pay(HOUSEHOLD.pubkey(), SOL)], Hash.default())
    assert chain.simulate(tx)["err"] == "BlockhashNotFound"
    result = chain.simulate(tx, replaceRecentBlockhash=True)
    assert result["err"] is None
    assert result["replacementBlockhash"] == {
        "blockhash": str(chain.blockhash),
        "lastValidBlockHeight": chain.ledger.tip.height + 150,
    }
    both = BASE64 | {"sigVerify": True, "replaceRecentBlockhash": True}
    error = refused(chain, "simulateTransaction", text(tx), both)
    assert error.code == -32602
    assert error.message == "sigVerify may not be used with replaceRecentBlockhash"


def test_simulation_shows_accounts_as_they_would_be(mint_chain: Chain) -> None:
    (wallet,) = wallets(1)
    addresses = [str(token_account(wallet)), str(MINT.pubkey())]
    asked = {"encoding": "jsonParsed", "addresses": addresses}
    tx = v1([opened(wallet), minted(wallet, 5)], mint_chain.blockhash)
    shown = mint_chain.simulate(tx, accounts=asked)["accounts"]
    assert shown[0]["data"]["parsed"]["info"]["tokenAmount"]["amount"] == "5"
    assert shown[1]["data"]["parsed"]["info"]["supply"] == "5"
    failing = v1([minted(wallet, 5, decimals=2)], mint_chain.blockhash)
    assert mint_chain.simulate(failing, accounts=asked)["accounts"] == [None, None]


def test_a_refusal_by_the_token_program_names_its_instruction(mint_chain: Chain) -> None:
    (wallet,) = wallets(1)
    mint_chain.land(v1([opened(wallet)], mint_chain.blockhash))
    tx = v1([memo("m"), minted(wallet, 5, decimals=2)], mint_chain.blockhash)
    assert mint_chain.land(tx)["err"] == {"InstructionError": [1, {"Custom": 18}]}


def test_legacy_transactions_land_too(chain: Chain) -> None:
    message = Message.new_with_blockhash(
        [pay(HOUSEHOLD.pubkey(), SOL)], OPERATOR.pubkey(), chain.blockhash
    )
    tx = VersionedTransaction(message, [OPERATOR])
    assert chain.land(tx)["err"] is None
    assert chain.transaction(str(tx.signatures[0]))["version"] == "legacy"


def test_two_airdrops_of_one_block_are_two(chain: Chain) -> None:
    someone = Keypair().pubkey()
    signatures = {chain.ask("requestAirdrop", str(someone), SOL) for _ in range(3)}
    chain.blocks()
    assert len(signatures) == 3
    assert chain.balance(someone) == 3 * SOL
    assert {row["signature"] for row in _history(chain, someone)} == signatures


def _history(chain: Chain, key: Pubkey) -> list[dict[str, object]]:
    chain.blocks(2)
    rows: list[dict[str, object]] = chain.ask(
        "getSignaturesForAddress", str(key), {"commitment": "confirmed"}
    )
    return rows
