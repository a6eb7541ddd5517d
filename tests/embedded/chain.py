"""A chain driven by hand, and the people who use it."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0, MessageV1, TransactionConfig
from solders.pubkey import Pubkey
from solders.system_program import (
    CreateAccountParams,
    TransferParams,
    create_account,
    transfer,
)
from solders.transaction import VersionedTransaction
from spl.token.constants import TOKEN_PROGRAM_ID
from spl.token.instructions import (
    create_idempotent_associated_token_account,
    get_associated_token_address,
    initialize_mint,
    mint_to_checked,
)
from spl.token.models import InitializeMintParams, MintToCheckedParams

from gridtoken.embedded.chain.ledger import Ledger
from gridtoken.embedded.rpc.dispatch import Rpc
from gridtoken.embedded.rpc.node import Node

SOL = 10**9
MEMO_PROGRAM = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
AMPLE = TransactionConfig(compute_unit_limit=400_000, loaded_accounts_data_size_limit=1 << 20)


def cast(name: str) -> Keypair:
    """The same person in every run."""
    return Keypair.from_seed(name.encode().ljust(32, b"."))


OPERATOR, HOUSEHOLD, OUTSIDER, MINT = map(cast, ("operator", "household", "outsider", "mint"))
"""The operator pays and mints; the outsider has nothing; MINT is the mint's own key."""


class Refused(Exception):
    """The RPC answered an error."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["message"])
        self.code = error["code"]
        self.message = error["message"]
        self.data: Any = error.get("data")


def pay(to: Pubkey, lamports: int, source: Keypair = OPERATOR) -> Instruction:
    return transfer(TransferParams(from_pubkey=source.pubkey(), to_pubkey=to, lamports=lamports))


def memo(text: str) -> Instruction:
    return Instruction(MEMO_PROGRAM, text.encode(), [])


def wallets(count: int) -> list[Pubkey]:
    return [cast(f"wallet {number}").pubkey() for number in range(count)]


def token_account(wallet: Pubkey) -> Pubkey:
    return get_associated_token_address(wallet, MINT.pubkey())


def opened(wallet: Pubkey) -> Instruction:
    return create_idempotent_associated_token_account(OPERATOR.pubkey(), wallet, MINT.pubkey())


def minted(wallet: Pubkey, amount: int, *, decimals: int = 9) -> Instruction:
    return mint_to_checked(
        MintToCheckedParams(
            program_id=TOKEN_PROGRAM_ID,
            mint=MINT.pubkey(),
            dest=token_account(wallet),
            mint_authority=OPERATOR.pubkey(),
            amount=amount,
            decimals=decimals,
            signers=[],
        )
    )


def new_mint(rent: int) -> list[Instruction]:
    return [
        create_account(
            CreateAccountParams(
                from_pubkey=OPERATOR.pubkey(),
                to_pubkey=MINT.pubkey(),
                lamports=rent,
                space=82,
                owner=TOKEN_PROGRAM_ID,
            )
        ),
        initialize_mint(
            InitializeMintParams(
                program_id=TOKEN_PROGRAM_ID,
                mint=MINT.pubkey(),
                decimals=9,
                mint_authority=OPERATOR.pubkey(),
            )
        ),
    ]


def v1(
    instructions: list[Instruction],
    blockhash: Hash,
    config: TransactionConfig | None = AMPLE,
    signers: tuple[Keypair, ...] = (OPERATOR,),
) -> VersionedTransaction:
    message = MessageV1.try_compile(signers[0].pubkey(), instructions, blockhash, config)
    return VersionedTransaction(message, list(signers))


def v0(
    instructions: list[Instruction],
    blockhash: Hash,
    signers: tuple[Keypair, ...] = (OPERATOR,),
) -> VersionedTransaction:
    message = MessageV0.try_compile(signers[0].pubkey(), instructions, [], blockhash)
    return VersionedTransaction(message, list(signers))


def legacy(
    instructions: list[Instruction],
    blockhash: Hash,
    signers: tuple[Keypair, ...] = (OPERATOR,),
) -> VersionedTransaction:
    message = Message.new_with_blockhash(instructions, signers[0].pubkey(), blockhash)
    return VersionedTransaction(message, list(signers))


def text(tx: VersionedTransaction) -> str:
    return b64encode(bytes(tx)).decode()


class Chain:
    """A ledger and the RPC in front of it, without a socket or a clock."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.node = Node(ledger)
        self.rpc = Rpc(self.node)

    def ask(self, method: str, *params: Any) -> Any:
        """Asks as a client does; returns the result or raises the error."""
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        answer = json.loads(self.rpc.answer(json.dumps(request).encode()) or b"null")
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["result"]

    @property
    def blockhash(self) -> Hash:
        return self.ledger.tip.blockhash

    def blocks(self, count: int = 1) -> None:
        self.ledger.advance_blocks(count)

    def send(self, tx: VersionedTransaction) -> str:
        """Hands a transaction over as the engine does."""
        options = {"encoding": "base64", "skipPreflight": True, "maxRetries": 0}
        return str(self.ask("sendTransaction", text(tx), options))

    def land(self, tx: VersionedTransaction) -> dict[str, Any]:
        """Sends, makes a block, and returns the status."""
        signature = self.send(tx)
        self.blocks()
        status = self.status(signature)
        assert status is not None, list(self.ledger.refused)
        return status

    def refusal(self, tx: VersionedTransaction) -> Any:
        """Sends, makes a block, and returns why no leader took it."""
        signature = self.send(tx)
        self.blocks()
        assert self.status(signature) is None
        refused, err = self.ledger.refused[-1]
        assert str(refused) == signature
        return err

    def status(self, signature: str, *, search: bool = False) -> dict[str, Any] | None:
        options = {"searchTransactionHistory": search}
        status: dict[str, Any] | None = self.ask("getSignatureStatuses", [signature], options)[
            "value"
        ][0]
        return status

    def transaction(self, signature: str, **options: Any) -> dict[str, Any]:
        """Shows a transaction as soon as it is confirmed."""
        self.blocks(self.ledger.rules.confirmed_after)
        config = {"commitment": "confirmed", "maxSupportedTransactionVersion": 1} | options
        answer: dict[str, Any] = self.ask("getTransaction", signature, config)
        return answer

    def simulate(self, tx: VersionedTransaction, **options: Any) -> dict[str, Any]:
        config = {"encoding": "base64", "commitment": "processed"} | options
        answer: dict[str, Any] = self.ask("simulateTransaction", text(tx), config)["value"]
        return answer

    def balance(self, key: Pubkey, commitment: str = "processed") -> int:
        return int(self.ask("getBalance", str(key), {"commitment": commitment})["value"])

    def fund(self, key: Pubkey, lamports: int) -> str:
        signature = str(self.ask("requestAirdrop", str(key), lamports))
        self.blocks()
        return signature

    def create_mint(self) -> None:
        rent = self.ask("getMinimumBalanceForRentExemption", 82)
        self.land(v1(new_mint(rent), self.blockhash, signers=(OPERATOR, MINT)))
