"""JSON-RPC errors with the codes, sentences and data of a real node (Agave, custom_error.rs)."""

from __future__ import annotations

from typing import Any

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603


class RpcError(Exception):
    """An answer that is an error."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    def json(self) -> dict[str, Any]:
        """Returns the error object of the answer."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.data is not None:
            error["data"] = self.data
        return error


def invalid_params(message: str) -> RpcError:
    """The parameters are not what the method takes."""
    return RpcError(INVALID_PARAMS, message)


def invalid_request(message: str = "Invalid request") -> RpcError:
    """The request is no request, or asks for what this node does not do."""
    return RpcError(INVALID_REQUEST, message)


def block_pruned(slot: int, first: int) -> RpcError:
    """The node keeps no history so old."""
    return RpcError(
        -32001,
        f"Block {slot} cleaned up, does not exist on node. First available block: {first}",
    )


def preflight_failed(sentence: str, result: dict[str, Any]) -> RpcError:
    """The simulation before sending failed; `result` says how."""
    return RpcError(-32002, f"Transaction simulation failed: {sentence}", result)


def signature_failed() -> RpcError:
    """A signature is missing or wrong."""
    return RpcError(-32003, "Transaction signature verification failure")


def block_not_available(slot: int) -> RpcError:
    """The slot has no confirmed block yet."""
    return RpcError(-32004, f"Block not available for slot {slot}")


def node_unhealthy(slots_behind: int) -> RpcError:
    """The node is too far behind the cluster to be trusted with a preflight."""
    return RpcError(
        -32005, f"Node is behind by {slots_behind} slots", {"numSlotsBehind": slots_behind}
    )


def slot_skipped(slot: int) -> RpcError:
    """The slot passed without a block."""
    return RpcError(
        -32007, f"Slot {slot} was skipped, or missing due to ledger jump to recent snapshot"
    )


def unsupported_version(version: int) -> RpcError:
    """The transaction is of a version that the client did not say it understands."""
    return RpcError(
        -32015,
        f"Transaction version ({version}) is not supported by the requesting client. Please try"
        " the request again with the following configuration parameter:"
        f' "maxSupportedTransactionVersion": {version}',
    )


def context_slot_not_reached(slot: int) -> RpcError:
    """The bank that would answer is older than the caller allows."""
    return RpcError(-32016, "Minimum context slot has not been reached", {"contextSlot": slot})
