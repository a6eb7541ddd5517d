"""What stands between a server and Django."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import RequestFactory
from django.test.client import ClientHandler

from gridtoken.web import take_chunks
from minting.access.models import ApiToken
from minting.access.scopes import Scope

pytestmark = pytest.mark.django_db


def test_a_body_sent_in_chunks_is_read_like_any_other():
    user = User.objects.create_user("machine")
    _, token = ApiToken.objects.issue(user=user, scopes=[Scope.SUBMIT], expires_in=None)
    handler: Any = ClientHandler()
    application = take_chunks(lambda environ, _start: [handler(environ).content])

    def send(body: bytes, **headers: Any) -> bytes:
        environ = RequestFactory().post("/api/v1/readings", HTTP_X_API_KEY=token).environ
        del environ["CONTENT_LENGTH"]
        # As gunicorn has it: what is read are the chunks' contents, up to the last one.
        environ |= {"CONTENT_TYPE": "application/json", "wsgi.input": BytesIO(body), **headers}
        return b"".join(application({**environ, "wsgi.input_terminated": True}, None))

    chunked = {"HTTP_TRANSFER_ENCODING": "chunked"}
    assert send(b"[]", **chunked) == b'{"created":0,"duplicates":0,"failed":0,"results":[]}'
    assert b'"invalid_reading"' in send(b"", **chunked), "as with Content-Length: 0"
    assert b'"parse_error"' in send(b"[", **chunked)
    assert b'"body_too_large"' in send(b" " * 2_700_000, **chunked)
    assert b'"invalid_reading"' in send(b"[]"), "no body at all"
