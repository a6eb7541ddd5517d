"""The stand-in answers as a real server does: the same questions to both, where there is one."""

from __future__ import annotations

from base64 import b64encode

import requests

from tests.vault.operator import KEY

HELLO = b64encode(b"hello").decode()


def test_statuses_shapes_and_words(place):
    operator = place.operator
    token = operator.token(ttl="1h")

    def ask(method, path, body=None, token=token, **headers):
        answer = requests.request(
            method, f"{place.url}/v1/{path}", json=body, timeout=5,
            headers={"X-Vault-Token": token, **headers},
        )  # fmt: skip
        return answer.status_code, answer.json() if answer.content else None

    envelope = {
        "request_id", "lease_id", "renewable", "lease_duration", "data", "wrap_info", "warnings",
        "auth",
    }  # fmt: skip
    status, key = ask("GET", f"transit/keys/{KEY}")
    assert (status, set(key)) == (200, envelope)
    assert key["data"].items() >= {"type": "ed25519", "latest_version": 1, "derived": False}.items()
    assert set(key["data"]["keys"]) == {"1"}
    assert len(key["data"]["keys"]["1"]["public_key"]) == 44

    items = [{"input": HELLO}, {"input": "!!"}, {}]
    status, made = ask("POST", f"transit/sign/{KEY}", {"batch_input": items, "key_version": 1})
    good, bad, none = made["data"]["batch_results"]
    assert (status, set(made)) == (200, envelope)
    assert (set(good), good["key_version"]) == ({"signature", "key_version", "reference"}, 1)
    assert good["signature"].startswith("vault:v1:")
    assert bad["error"].startswith("unable to decode input as base64: illegal base64 data")
    assert none["error"] == "missing input"

    def signing(version):
        asked = {"batch_input": [{"input": HELLO}], "key_version": version}
        return ask("POST", f"transit/sign/{KEY}", asked)

    higher = "requested version for signing is higher than the latest key version"
    assert signing(7)[1]["data"]["batch_results"][0]["error"] == higher
    operator.rotate()
    assert signing(0)[1]["data"]["batch_results"][0]["signature"].startswith("vault:v2:")
    operator.write(f"transit/keys/{KEY}/config", min_encryption_version=2)
    less = "requested version for signing is less than the minimum encryption key version"
    assert signing(1)[1]["data"]["batch_results"][0]["error"] == less

    denied = "1 error occurred:\n\t* permission denied\n\n"
    for asked, answer in (
        (("POST", f"transit/sign/{KEY}", {"batch_input": []}),
         (400, "missing batch input to process")),
        (("POST", "transit/sign/other", {"input": HELLO}), (403, denied)),
        (("POST", f"transit/sign/{KEY}/sha2-256", {"input": HELLO}), (403, denied)),
        (("GET", f"transit/keys/{KEY}", None, "wrong"), (403, "permission denied")),
        (("GET", "transit/keys/other", None, operator.root), (404, None)),
        (("POST", "transit/sign/other", {}, operator.root), (400, "signing key not found")),
        (("POST", "auth/approle/login", {"role_id": "x", "secret_id": "y"}),
         (400, "invalid role or secret ID")),
    ):  # fmt: skip
        status, body = ask(*asked)
        assert (status, next(iter(body["errors"]), None)) == answer, asked
    elsewhere = {"X-Vault-Namespace": "elsewhere"}
    assert ask("GET", f"transit/keys/{KEY}", **elsewhere) == (
        404,
        {"errors": ["namespace not found"]},
    )

    about = ask("GET", "auth/token/lookup-self")[1]["data"]
    assert (about["renewable"], 3_590 < about["ttl"] <= 3_600) == (True, True)
    assert about["expire_time"].endswith("Z")
    assert (
        ask("GET", "auth/token/lookup-self", token=operator.root)[1]["data"]["expire_time"] is None
    )
    status, renewed = ask("POST", "auth/token/renew-self")
    assert (status, renewed["data"], renewed["auth"]["client_token"]) == (200, None, token)
    assert renewed["auth"]["lease_duration"] == 3_600

    operator.write("sys/seal")
    assert ask("POST", f"transit/sign/{KEY}", {"input": HELLO}) == (
        503,
        {"errors": ["Vault is sealed"]},
    )
    assert ask("GET", "sys/health")[0] == 503
