"""JSON-RPC itself: envelopes, batches, and the errors of what is no request."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtoken.embedded.chain import base58
from gridtoken.embedded.rpc.error import RpcError
from gridtoken.embedded.rpc.params import Params

from .chain import OPERATOR, Chain, Refused


def raw(chain: Chain, body: Any) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = chain.rpc.answer(data)
    return None if answer is None else json.loads(answer)


def call(method: str, number: object = 1, params: object = None) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def test_what_is_no_json_is_a_parse_error(chain: Chain) -> None:
    for body in (b"", b"{", b"\xff\xfe", b"{'a': 1}"):
        assert raw(chain, body) == {
            "jsonrpc": "2.0",
            "error": {"code": -32700, "message": "Parse error"},
            "id": None,
        }


@pytest.mark.parametrize("body", [1, "text", None, [], {}, {"jsonrpc": "2.0", "id": 1}])
def test_what_is_no_request_is_an_invalid_request(chain: Chain, body: object) -> None:
    answer = raw(chain, json.dumps(body).encode())
    assert answer["error"]["code"] == -32600


def test_an_old_envelope_is_an_invalid_request(chain: Chain) -> None:
    assert raw(chain, {"id": 7, "method": "getSlot"})["error"]["code"] == -32600


def test_an_unknown_method_is_not_found(chain: Chain) -> None:
    assert raw(chain, call("mintMoney", 7)) == {
        "jsonrpc": "2.0",
        "error": {"code": -32601, "message": "Method not found"},
        "id": 7,
    }


def test_a_batch_is_answered_in_order_and_notifications_not_at_all(chain: Chain) -> None:
    notification = {"jsonrpc": "2.0", "method": "getSlot"}
    answers = raw(
        chain, [call("getHealth", "a"), notification, call("nothing", 2), call("getHealth", 3)]
    )
    assert [(one["id"], "result" in one) for one in answers] == [
        ("a", True),
        (2, False),
        (3, True),
    ]
    assert raw(chain, notification) is None
    assert raw(chain, [notification]) is None


def test_every_call_is_counted(chain: Chain) -> None:
    chain.rpc.requests.clear()
    raw(chain, [call("getSlot"), call("getSlot"), call("getHealth")])
    assert chain.rpc.requests == {"getSlot": 2, "getHealth": 1}


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("getBalance", []),
        ("getBalance", {"pubkey": "x"}),
        ("getBalance", [7]),
        ("getBalance", ["0OIl"]),
        ("getBalance", ["abc"]),
        ("getBalance", [str(OPERATOR.pubkey()), "confirmed"]),
        ("getBalance", [str(OPERATOR.pubkey()), {"commitment": "certain"}]),
        ("getBalance", [str(OPERATOR.pubkey()), {"minContextSlot": -1}]),
        ("getBalance", [str(OPERATOR.pubkey()), {"minContextSlot": True}]),
        ("getSignatureStatuses", ["x"]),
        ("getSignatureStatuses", [["x"]]),
        ("getTransaction", [str(OPERATOR.pubkey())]),
        ("getBlock", ["0"]),
        ("getAccountInfo", [str(OPERATOR.pubkey()), {"dataSlice": 3}]),
        ("getProgramAccounts", [str(OPERATOR.pubkey()), {"filters": [{"size": 1}]}]),
        ("getProgramAccounts", [str(OPERATOR.pubkey()), {"filters": [{"dataSize": 1}] * 5}]),
        ("getTokenAccountsByOwner", [str(OPERATOR.pubkey()), {}]),
        ("sendTransaction", ["AAAA", {"encoding": "json"}]),
        ("isBlockhashValid", ["x"]),
    ],
)
def test_wrong_parameters_are_invalid_params(chain: Chain, method: str, params: object) -> None:
    answer = raw(chain, call(method, 1, params))
    assert answer["error"]["code"] == -32602, answer


def test_old_names_of_commitments_are_understood(chain: Chain) -> None:
    chain.blocks(40)
    for old, new in (("recent", "processed"), ("single", "confirmed"), ("root", "finalized")):
        assert chain.ask("getSlot", {"commitment": old}) == chain.ask(
            "getSlot", {"commitment": new}
        )


def test_a_lagging_node_says_how_unwell_it_is(chain: Chain) -> None:
    assert chain.ask("getHealth") == "ok"
    chain.node.lag = 129
    with pytest.raises(Refused) as refused:
        chain.ask("getHealth")
    assert (refused.value.code, refused.value.data) == (-32005, {"numSlotsBehind": 129})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(value=json_values)
def test_any_json_is_taken_or_refused_but_never_breaks(value: Any) -> None:
    params = Params([value, value])
    for take in (params.text, params.texts, params.integer, params.pubkey, params.config):
        with suppress(RpcError):
            take(0)


@given(data=st.binary(max_size=80))
def test_base58_there_and_back(data: bytes) -> None:
    assert base58.decode(base58.encode(data)) == data


def test_base58_agrees_with_solders() -> None:
    assert base58.encode(bytes(OPERATOR.pubkey())) == str(OPERATOR.pubkey())
    with pytest.raises(ValueError, match="not a base58 letter"):
        base58.decode("0")
