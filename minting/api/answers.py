"""Answers about one batch: who waits gets 200 when it is done, everybody else 202."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.urls import reverse
from rest_framework.request import Request
from rest_framework.response import Response

from minting.api.conditional import retry_after
from minting.api.preferences import wait_for, wanted_wait
from minting.models import MintBatch
from minting.service.describe import WHOLE_RESULTS, describe_batch


def describe(batch: MintBatch, request: Request) -> dict[str, Any]:
    """The description that everybody gets, with an address that this client can follow."""
    whole = batch.total_readings <= WHOLE_RESULTS
    return absolute(describe_batch(batch, with_results=whole), request)


def absolute(description: dict[str, Any], request: Request) -> dict[str, Any]:
    """``results_url`` with scheme and host."""
    url = request.build_absolute_uri(description["results_url"])
    return {**description, "results_url": url}


def ask_again(batch: MintBatch) -> dict[str, str]:
    """The header that says when it is worth looking at a batch that still runs."""
    seconds = retry_after(batch)
    return {} if seconds is None else {"Retry-After": str(seconds)}


def queued(
    batch: MintBatch,
    request: Request,
    *,
    done: Callable[[MintBatch, Request], dict[str, Any]] = describe,
) -> Response:
    """What a client that asked for minting is told.

    Args:
        batch: Just queued.
        request: Whose ``Prefer: wait=N`` is honoured.
        done: Describes a batch that was waited for.
    """
    location = request.build_absolute_uri(
        reverse("api:mint-batch-detail", kwargs={"batch_id": batch.id})
    )
    headers = {"Location": location}
    wait = wanted_wait(request)
    if wait is not None and (waited := wait_for(batch, wait)) is not None:
        headers["Preference-Applied"] = f"wait={wait}"
        batch = waited
        if batch.is_final:
            return Response(done(batch, request), status=200, headers=headers)
    return Response(describe(batch, request), status=202, headers=headers | ask_again(batch))
