"""Forwarded headers count from a trusted proxy and from nobody else."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from ipware import get_client_ip

from gridtoken.proxy import TrustedProxyMiddleware


@pytest.fixture
def seen(settings):
    """What a view gets to see of a request with the given headers."""
    settings.DJANGO_TRUSTED_PROXY = [ip_network("10.0.0.0/8")]

    def call(**meta: str):
        request = RequestFactory().get("/")
        request.META.update(meta)
        TrustedProxyMiddleware(lambda _: HttpResponse())(request)
        return request.META

    return call


def test_a_stranger_s_headers_are_taken_away(seen):
    meta = seen(REMOTE_ADDR="192.0.2.1", HTTP_X_FORWARDED_FOR="x", HTTP_X_FORWARDED_PROTO="https")
    assert meta["REMOTE_ADDR"] == "192.0.2.1"
    assert not [name for name in meta if name.startswith("HTTP_X_FORWARDED")]


def test_a_trusted_proxy_names_the_client(seen):
    chain = "203.0.113.9, 198.51.100.7, 10.0.0.2"  # the first hop is the client's own claim
    meta = seen(REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR=chain, HTTP_X_FORWARDED_PROTO="https")
    assert meta["REMOTE_ADDR"] == "198.51.100.7"
    assert meta["HTTP_X_FORWARDED_PROTO"] == "https"


def test_a_trusted_proxy_that_names_nobody_speaks_for_itself(seen):
    assert seen(REMOTE_ADDR="10.0.0.1")["REMOTE_ADDR"] == "10.0.0.1"
    assert seen(REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR="?")["REMOTE_ADDR"] == "?"


def test_a_unix_socket_has_no_address_to_trust(seen):
    assert "HTTP_X_FORWARDED_HOST" not in seen(REMOTE_ADDR="", HTTP_X_FORWARDED_HOST="x")


def test_what_the_log_calls_the_client_is_no_claim_of_his(rf):
    claims = {"HTTP_X_FORWARDED_FOR": "198.51.100.1", "HTTP_X_REAL_IP": "198.51.100.2"}
    request = rf.get("/", REMOTE_ADDR="203.0.113.9", **claims)
    assert get_client_ip(request)[0] == "203.0.113.9"
