"""Landed transactions in the shapes that getTransaction and getBlock answer."""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

from solders.message import MessageV0, MessageV1
from solders.pubkey import Pubkey

from gridtoken.embedded.chain import base58
from gridtoken.embedded.chain.block import Landed
from gridtoken.embedded.chain.transaction import DecodedTransaction, decode
from gridtoken.embedded.rpc.account_json import token_amount
from gridtoken.embedded.rpc.error import invalid_params, unsupported_version
from gridtoken.embedded.rpc.instruction_json import Accounts, parsed_instruction
from gridtoken.embedded.rpc.params import Config

ENCODINGS = ("binary", "base58", "base64", "json", "jsonParsed")


def encoding_of(config: Config, encoding: str | None = None) -> tuple[str, int | None]:
    """Reads encoding and maxSupportedTransactionVersion out of a request's options."""
    encoding = encoding or config.choice("encoding", ENCODINGS, "json")
    newest = config.integer("maxSupportedTransactionVersion")
    if newest is not None and newest > 255:
        raise invalid_params(f"Invalid params: invalid value: integer `{newest}`, expected u8.")
    if encoding in ("binary", "base58") and newest:
        # Agave 4.3: base58 is deprecated and was not extended to larger transactions.
        raise invalid_params(
            "base58 encoding is not supported with maxSupportedTransactionVersion >= 1"
        )
    return encoding, newest


def written(landed: Landed, encoding: str, newest: int | None) -> dict[str, Any]:
    """Returns transaction, meta and version.

    Raises:
        RpcError: If the client does not know this version of transactions.
    """
    decoded = decode(landed.raw)
    check_version(decoded, newest)
    accounts = accounts_of(decoded, landed.record)
    answer: dict[str, Any] = {
        "transaction": _transaction(decoded, accounts, encoding),
        "meta": meta(landed, decoded, accounts, encoding),
    }
    if newest is not None:
        answer["version"] = decoded.version
    return answer


def accounts_only(landed: Landed, newest: int | None) -> dict[str, Any]:
    """Returns the short form that getBlock gives for transactionDetails "accounts"."""
    decoded = decode(landed.raw)
    check_version(decoded, newest)
    accounts = accounts_of(decoded, landed.record)
    full = meta(landed, decoded, accounts, "json")
    kept = ("err", "status", "fee", "preBalances", "postBalances")
    tokens = ("preTokenBalances", "postTokenBalances")
    answer: dict[str, Any] = {
        "transaction": {
            "signatures": [str(signature) for signature in decoded.tx.signatures],
            "accountKeys": accounts.listed(),
        },
        "meta": {name: full[name] for name in (*kept, *tokens)},
    }
    if newest is not None:
        answer["version"] = decoded.version
    return answer


def check_version(decoded: DecodedTransaction, newest: int | None) -> None:
    """Refuses to show a transaction of a version that the client does not know.

    Raises:
        RpcError: -32015.
    """
    if decoded.version != "legacy" and (newest is None or decoded.version > newest):
        raise unsupported_version(decoded.version)


def accounts_of(decoded: DecodedTransaction, record: dict[str, Any]) -> Accounts:
    """Returns all accounts of a landed transaction with their roles."""
    writable, readonly = record["loaded"]
    return Accounts.of(
        decoded,
        tuple(map(Pubkey.from_string, writable)),
        tuple(map(Pubkey.from_string, readonly)),
    )


def meta(
    landed: Landed, decoded: DecodedTransaction, accounts: Accounts, encoding: str
) -> dict[str, Any]:
    """Returns what the transaction did."""
    record = landed.record
    answer: dict[str, Any] = {
        "err": landed.err,
        "status": {"Ok": None} if landed.err is None else {"Err": landed.err},
        "fee": record["fee"],
        "preBalances": record["pre"],
        "postBalances": record["post"],
        "innerInstructions": inner(record["inner"], accounts, parse=encoding == "jsonParsed"),
        "logMessages": record["logs"],
        "preTokenBalances": tokens(record["pre_tokens"]),
        "postTokenBalances": tokens(record["post_tokens"]),
        "rewards": [],
        "computeUnitsConsumed": record["units"],
        "costUnits": record["cost"],
    }
    if encoding != "jsonParsed" and decoded.version != 1:
        writable, readonly = record["loaded"]
        answer["loadedAddresses"] = {"writable": writable, "readonly": readonly}
    if record["returned"] is not None:
        answer["returnData"] = returned(record["returned"])
    return answer


def tokens(balances: list[Any]) -> list[dict[str, Any]]:
    """Returns the token balances of a record in the shape of an answer."""
    return [
        {
            "accountIndex": index,
            "mint": mint,
            "owner": owner,
            "programId": program,
            "uiTokenAmount": token_amount(amount, decimals),
        }
        for index, mint, amount, decimals, owner, program in balances
    ]


def returned(data: list[str]) -> dict[str, Any]:
    """Returns what a program gave back in the shape of an answer."""
    program, encoded = data
    return {"programId": program, "data": [encoded, "base64"]}


def inner(groups: list[Any], accounts: Accounts, *, parse: bool) -> list[dict[str, Any]]:
    """Returns the calls between programs in the shape of an answer."""
    return [
        {
            "index": index,
            "instructions": [
                _instruction(program, named, b64decode(data), height, accounts, parse=parse)
                for program, named, data, height in calls
            ],
        }
        for index, calls in groups
    ]


def _transaction(decoded: DecodedTransaction, accounts: Accounts, encoding: str) -> Any:
    if encoding == "base64":
        return [b64encode(decoded.raw).decode(), "base64"]
    if encoding in ("binary", "base58"):
        text = base58.encode(decoded.raw)
        return text if encoding == "binary" else [text, "base58"]
    return {
        "signatures": [str(signature) for signature in decoded.tx.signatures],
        "message": _message(decoded, accounts, parse=encoding == "jsonParsed"),
    }


def _message(decoded: DecodedTransaction, accounts: Accounts, *, parse: bool) -> dict[str, Any]:
    message = decoded.message
    answer: dict[str, Any] = {
        "recentBlockhash": str(decoded.blockhash),
        "instructions": [
            _instruction(
                one.program_id_index, list(one.accounts), one.data, 1, accounts, parse=parse
            )
            for one in decoded.instructions
        ],
    }
    if parse:
        answer["accountKeys"] = accounts.listed()
    else:
        answer["accountKeys"] = [str(key) for key in decoded.keys]
        answer["header"] = {
            "numRequiredSignatures": decoded.required_signatures,
            "numReadonlySignedAccounts": decoded.readonly_signed,
            "numReadonlyUnsignedAccounts": decoded.readonly_unsigned,
        }
    if isinstance(message, MessageV0):
        answer["addressTableLookups"] = [
            {
                "accountKey": str(lookup.account_key),
                "writableIndexes": list(lookup.writable_indexes),
                "readonlyIndexes": list(lookup.readonly_indexes),
            }
            for lookup in message.address_table_lookups
        ]
    elif isinstance(message, MessageV1):
        answer["transactionConfig"] = {
            "priorityFee": message.config.priority_fee,
            "computeUnitLimit": message.config.compute_unit_limit,
            "loadedAccountsDataSizeLimit": message.config.loaded_accounts_data_size_limit,
            "heapSize": message.config.heap_size,
        }
    return answer


def _instruction(
    program: int,
    named: list[int],
    data: bytes,
    height: int | None,
    accounts: Accounts,
    *,
    parse: bool,
) -> dict[str, Any]:
    if parse:
        return parsed_instruction(accounts, program, named, data, height)
    return {
        "programIdIndex": program,
        "accounts": named,
        "data": base58.encode(data),
        "stackHeight": height,
    }
