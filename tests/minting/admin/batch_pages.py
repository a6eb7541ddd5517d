"""Addresses of a batch's pages, and what they say, on one line."""

from __future__ import annotations

from django.test import Client
from django.urls import reverse

from minting.models import MintBatch


def page_of(batch: MintBatch, page: str = "change") -> str:
    return reverse(f"admin:minting_mintbatch_{page}", args=[batch.pk])


def text(client: Client, batch: MintBatch, page: str = "change") -> str:
    answer = client.get(page_of(batch, page))
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())
