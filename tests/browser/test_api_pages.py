"""The API in a browser: Swagger UI, Redoc, the pages for a person with a session, and tokens."""

from __future__ import annotations

import json

import pytest
from django.contrib.auth.models import User

from minting.access.models import ApiToken
from tests.browser.conftest import Visitor
from tests.factories.readings import household
from tests.minting.api.history import queued_batch

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_the_api_is_looked_at_by_a_person(visitor: Visitor) -> None:
    User.objects.create_superuser("chief", password="pass-word-9")
    User.objects.create_user("gateway")
    batch = queued_batch([household().reading()])
    page = visitor.page

    visitor.go("/api/docs/")
    page.wait_for_selector("#operations-mint-batch-mint_batch")
    page.click("#operations-mint-batch-mint_batch .opblock-summary-control")
    page.wait_for_selector(".responses-table")
    visitor.picture("swagger")
    visitor.go("/api/redoc/")
    page.wait_for_selector("h1:has-text('GridToken')")
    page.wait_for_selector("text=mint-results")
    visitor.picture("redoc")

    visitor.log_in("chief", "pass-word-9")
    visitor.go(f"/api/v1/mint-batches/{batch.id}")
    page.wait_for_selector("text=pending_mints")
    visitor.picture("batch")
    visitor.go("/api/v1/mint-batch/estimate")
    visitor.errors.clear()  # 405: there is nothing to GET, but a form to POST
    page.fill("textarea[name=_content]", json.dumps({"reading_ids": "x"}))
    with page.expect_navigation():
        page.click("button:has-text('POST')")
    page.wait_for_selector("text=invalid_request")
    visitor.errors.clear()  # 400, as it should be
    visitor.picture("refused")

    visitor.go("/admin/access/apitoken/")
    page.click("text=New token…")
    page.fill("[name=name]", "Roof gateway")
    page.select_option("[name=user]", label="gateway")
    page.check("[name=scopes][value=read]")
    visitor.picture("new-token")
    page.click("button:has-text('Make the token')")
    secret = page.inner_text("#token")
    visitor.picture("token-once")
    assert secret.startswith(ApiToken.objects.get().token_key)
    page.click("text=I have it")
    page.wait_for_selector("text=Roof gateway")
    assert secret not in page.content()
    visitor.picture("tokens")
