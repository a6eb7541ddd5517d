"""System checks of what mints: settings that contradict each other, and what the chain says.

The chain is asked by ``check --deploy`` alone; all others read settings and files.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 (Django's own name)

from minting.conf import current, public_half
from minting.engine.errors import MintingRefused, SignerRefused, SignerUnavailable
from minting.service.chain.session import open_session
from minting.service.watch.survey import Finding, survey


def check_settings(**_: Any) -> list[CheckMessage]:
    """What cannot all be meant."""
    return [_message(finding) for finding in _contradictions()]


def check_chain(**_: Any) -> list[CheckMessage]:
    """Wrong is an error; silent nodes are a warning."""
    try:
        # Whoever waits for a command wants an answer, not the nodes' fair share of it.
        config = replace(current(), rpc_max_per_second=None)
        with open_session(config) as session:
            return [_message(finding) for finding in survey(session)]
    except (SignerRefused, SignerUnavailable) as silent:
        hint = "Look at the signer, or set MINT_AUTHORITY_ADDRESS where nothing is signed."
        return [Error(str(silent), hint=hint, id="minting.E008")]
    except MintingRefused as refused:
        return [Error(str(refused), hint="Correct what the sentence names.", id="minting.E006")]


def _message(finding: Finding) -> CheckMessage:
    kind = Warning if finding.code.startswith("W") else Error
    return kind(finding.sentence, hint=finding.hint, id=f"minting.{finding.code}")


def _contradictions() -> Iterator[Finding]:
    yield from _two_authorities()
    if settings.MINT_PROGRAM != "anchor" and (
        settings.MINT_PROGRAM_IDL or settings.MINT_PROGRAM_ID
    ):
        yield Finding(
            "W010",
            "MINT_PROGRAM_ID or MINT_PROGRAM_IDL is set, but tokens are minted directly",
            "Set MINT_PROGRAM=anchor to mint through the program, or leave the others out.",
        )
    if settings.MINT_SIGNER == "keypair" and settings.VAULT_TRANSIT_KEY:
        yield Finding(
            "W014",
            "VAULT_TRANSIT_KEY is set, but the key of a file signs",
            "Set MINT_SIGNER=vault to sign in Vault, or leave VAULT_TRANSIT_KEY out.",
        )
    if settings.TOKENIZATION_INITIAL_RETRY_DELAY_SECS > settings.TOKENIZATION_MAX_RETRY_DELAY_SECS:
        yield Finding(
            "W011",
            "TOKENIZATION_INITIAL_RETRY_DELAY_SECS is longer than "
            "TOKENIZATION_MAX_RETRY_DELAY_SECS, which then always counts",
            "Make the first retry come no later than the longest wait.",
        )
    limit = settings.MINT_MAX_KWH_PER_DAY
    if limit is not None and limit < settings.TOKENIZATION_MAX_READING_KWH:
        yield Finding(
            "W012",
            "MINT_MAX_KWH_PER_DAY is less than TOKENIZATION_MAX_READING_KWH: one reading that "
            "passes the rules would stop all minting",
            "Raise the day's limit, or lower the reading's.",
        )
    above = settings.APPROVAL_ABOVE_KWH
    if limit is not None and above is not None and above >= limit:
        yield Finding(
            "W013",
            "APPROVAL_ABOVE_KWH is not below MINT_MAX_KWH_PER_DAY: whatever needs a second "
            "person would stop all minting once it is approved",
            "Ask for approval below the day's limit.",
        )


def _two_authorities() -> Iterator[Finding]:
    """An address beside a key that is another's: the web would show one, workers sign as another.

    ``conf`` takes the address where both are set, so the key is asked for alone here.
    """
    if not (settings.MINT_AUTHORITY_ADDRESS and settings.MINT_AUTHORITY_KEYPAIR):
        return
    held = public_half(Path(settings.MINT_AUTHORITY_KEYPAIR))
    if held is not None and str(held) != settings.MINT_AUTHORITY_ADDRESS:
        yield Finding(
            "E007",
            f"MINT_AUTHORITY_KEYPAIR is the key of {held}, MINT_AUTHORITY_ADDRESS says "
            f"{settings.MINT_AUTHORITY_ADDRESS}",
            "Leave MINT_AUTHORITY_ADDRESS out where the key is.",
        )
