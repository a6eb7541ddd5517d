"""What the chain refuses, and the JSON of what it records.

Refusal                  a transaction that no leader would put into a block
Malformed                bytes that are no transaction at all
"""

from __future__ import annotations

from typing import Any

from solders.transaction_status import (
    InstructionErrorBorshIO,
    InstructionErrorCustom,
    TransactionErrorDuplicateInstruction,
    TransactionErrorInstructionError,
    TransactionErrorInsufficientFundsForRent,
    TransactionErrorProgramExecutionTemporarilyRestricted,
)

TYPE_NAME = "solana_transaction::versioned::VersionedTransaction"
"""What a node calls the thing that it could not decode (Agave, rpc.rs)."""


class Malformed(Exception):
    """The bytes are not a transaction; the sentence is what a node answers."""


class Refusal(Exception):
    """A leader drops the transaction: it costs nothing and never appears on chain."""

    def __init__(self, err: Any) -> None:
        """Keeps the transaction error in the JSON form that nodes use."""
        super().__init__(str(err))
        self.err = err


def error_json(err: object) -> Any:
    """Returns a solders transaction error as the JSON of a node's answer."""
    if isinstance(err, TransactionErrorInstructionError):
        return {"InstructionError": [err.index, _instruction_error_json(err.err)]}
    if isinstance(err, TransactionErrorDuplicateInstruction):
        return {"DuplicateInstruction": err.index}
    if isinstance(err, TransactionErrorInsufficientFundsForRent):
        return {"InsufficientFundsForRent": {"account_index": err.account_index}}
    if isinstance(err, TransactionErrorProgramExecutionTemporarilyRestricted):
        return {"ProgramExecutionTemporarilyRestricted": {"account_index": err.account_index}}
    return _fieldless(err)


def _instruction_error_json(err: object) -> Any:
    if isinstance(err, InstructionErrorCustom):
        return {"Custom": err.code}
    if isinstance(err, InstructionErrorBorshIO):
        return {"BorshIoError": err.value}
    return _fieldless(err)


def _fieldless(err: object) -> str:
    # solders prints its enumerations as "TransactionErrorFieldless.AccountNotFound".
    return str(err).rpartition(".")[2]


_SENTENCES = {
    "AccountNotFound": "Attempt to debit an account but found no record of a prior credit.",
    "AlreadyProcessed": "This transaction has already been processed",
    "BlockhashNotFound": "Blockhash not found",
    "InsufficientFundsForFee": "Insufficient funds for fee",
    "InvalidAccountForFee": "This account may not be used to pay transaction fees",
    "InvalidProgramForExecution": "This program may not be used for executing instructions",
    "MaxLoadedAccountsDataSizeExceeded": ("Transaction exceeded max loaded accounts data size cap"),
    "ProgramAccountNotFound": "Attempt to load a program that does not exist",
    "SanitizeFailure": "Transaction failed to sanitize accounts offsets correctly",
    "SignatureFailure": "Transaction did not pass signature verification",
    "TooManyAccountLocks": "Transaction locked too many accounts",
    "AccountLoadedTwice": "Account loaded twice",
    "AddressLookupTableNotFound": "Transaction loads an address table account that doesn't exist",
    "InvalidAddressLookupTableData": (
        "Transaction loads an address table account with invalid data"
    ),
    "InvalidAddressLookupTableIndex": "Transaction address table lookup uses an invalid index",
    "InvalidAddressLookupTableOwner": (
        "Transaction loads an address table account with an invalid owner"
    ),
    "InvalidLoadedAccountsDataSizeLimit": (
        "LoadedAccountsDataSizeLimit set for transaction must be greater than 0."
    ),
}


def sentence(err: Any) -> str:
    """Returns the words that Agave prints for a transaction error."""
    if isinstance(err, str):
        return _SENTENCES.get(err, err)
    (kind, detail), *_ = err.items()
    if kind == "InstructionError":
        index, inner = detail
        text = f"custom program error: {inner['Custom']:#x}" if "Custom" in inner else str(inner)
        return f"Error processing Instruction {index}: {text}"
    if kind == "DuplicateInstruction":
        return f"Transaction contains a duplicate instruction ({detail}) that is not allowed"
    index = detail["account_index"]
    if kind == "InsufficientFundsForRent":
        return f"Transaction results in an account ({index}) with insufficient funds for rent"
    return (
        f"Execution of the program referenced by account at index {index} is temporarily"
        " restricted."
    )
