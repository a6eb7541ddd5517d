"""Every address of the admin and every action, and the one right that each needs.

Addresses and actions are found, not listed: one that is not said here to need a right fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.urls import URLPattern, URLResolver

GROUPS = ("Auditor", "Operator", "Approver", "Administrator")
NOBODY = "nobody"
"""Whoever logs in, without a group."""

EVERYBODY = ""
"""A page for all staff; what it shows of the rows of others, it asks for itself."""

NEVER = "never"
"""Not even for a superuser."""

COMMON = {
    "index": EVERYBODY,
    "search": EVERYBODY,
    "password_change": EVERYBODY,
    "password_change_done": EVERYBODY,
    "jsi18n": EVERYBODY,
    "view_on_site": EVERYBODY,
    "logout": EVERYBODY,
    "app_list": EVERYBODY,
}
OWN_PAGES = {
    "minting_mintbatch_cancel": "minting.mint_readings",
    "minting_mintbatch_retry": "minting.mint_readings",
    "minting_mintbatch_pack": "minting.view_mintbatch",
    "minting_mintselection_confirm": "minting.mint_readings",
    "minting_mintingstop_stop": "minting.stop_minting",
    "minting_mintingstop_resume": "minting.resume_minting",
    "minting_pollingpause_pause": "minting.pause_polling",
    "minting_pollingpause_resume": "minting.pause_polling",
    "minting_minttransaction_look": "minting.mint_readings",
    "minting_minttransaction_verify": "minting.view_minttransaction",
    "minting_minttransaction_export": "minting.view_minttransaction",
    "minting_mintresult_export": "minting.view_mintresult",
    "readings_meterreading_export": "readings.view_meterreading",
    "minting_statements": "minting.view_minttransaction",
    "minting_reconcilefinding_acknowledge": "minting.acknowledge_finding",
    "readings_meterreading_release": "readings.release_meterreading",
    "readings_meterreading_correct": "readings.correct_meterreading",
    "readings_meter_assign": "readings.add_meterassignment",
    "readings_owner_register_wallet": "readings.add_wallet",
    "readings_owner_forget": "readings.forget_owner",
    "auth_user_password_change": "auth.change_user",
    "auth_user_second_factor": "mfa.delete_authenticator",
    "access_apitoken_new": "access.add_apitoken",
    "access_apitoken_revoke": "access.delete_apitoken",
    "minting_mintapproval_approve": "minting.approve_batch",
    "minting_mintapproval_refuse": "minting.approve_batch",
    "readings_walletchange_approve": "readings.approve_walletchange",
    "readings_walletchange_refuse": "readings.approve_walletchange",
    "readings_walletchange_withdraw": "readings.add_wallet",
    "readings_walletchange_approve_selected": "readings.approve_walletchange",
    "minting_mintbatch_progress": "minting.view_mintbatch",
    "minting_mintbatch_details": "minting.view_mintbatch",
    "minting_mintresult_check": "minting.view_mintresult",
    "minting_receipt": "minting.view_mintresult",
    "readings_meterreading_held": "readings.view_meterreading",
    "minting_webhookendpoint_add": "minting.manage_webhooks",
    **{
        f"minting_webhookendpoint_{page}": "minting.manage_webhooks"
        for page in ("test", "replay", "enable", "disable", "remove", "edit", "secret")
    },
    "minting_webhookdelivery_replay": "minting.manage_webhooks",
    "readings_importfile_add": "readings.import_readings",
    "readings_importfile_upload_readings": "readings.import_readings",
    "readings_importfile_upload_registry": "readings.add_owner",
    "readings_importfile_registry": "readings.add_owner",
    "readings_importfile_decide": "readings.import_readings",
    "readings_importfile_options": "readings.import_readings",
    "readings_importfile_discard": "readings.import_readings",
    "readings_importfile_findings": "readings.view_importfile",
    "readings_importfile_content": "readings.view_importfile",
}
"""By the name of the address: the one right that opens it. A new page is said here, only here."""

NOT_OPENED = {
    "logout",  # would end the visit
    "minting_mintbatch_pack",  # wants a transaction of its own: test_pack opens it
    "minting_statements",  # likewise: test_statements
    "minting_minttransaction_verify",  # asks a node: test_proof
    "readings_importfile_decide",  # refuse whatever is not a POST: tests of imports do
    "readings_importfile_options",
    "readings_importfile_discard",
}
"""By who may."""

PARTS = {
    "work": ("readings.view_meterreading",),
    "chain": ("minting.view_mintinfo",),
    "workers": ("minting.view_mintbatch",),
    "month": ("minting.view_minttransaction",),
}
"""Of the dashboard: any of the rights shows something."""

WRITES = {
    "readings_owner": {"add", "delete"},
    "readings_meter": {"add", "delete"},
    "readings_wallet": {"add"},
    "readings_meterassignment": {"add"},
    "auth_user": {"add", "delete"},
    "auth_group": {"add", "delete"},
}
"""Tables whose rows a person may make or delete in the admin; all others only code writes."""

ACTIONS = {
    "mint_selected": "minting.mint_readings",
    "release_selected": "readings.release_meterreading",
    "acknowledge_selected": "minting.acknowledge_finding",
    "retire": "readings.add_wallet",
    "approve_selected": "readings.approve_walletchange",
    "replay_selected": "minting.manage_webhooks",
    "let_in": "axes.delete_accessattempt",
    "delete_selected": "delete",
}
"""``delete``: the table's own."""


def addresses() -> Iterator[tuple[str, list[str]]]:
    """Every named address of the admin, and its parameters."""
    for pattern in _walk(admin.site.get_urls()):
        if pattern.name and pattern.name not in {"login", "autocomplete", "dashboard_part"}:
            regex = getattr(pattern.pattern, "regex", None)
            names = list(pattern.pattern.converters) or list(regex.groupindex if regex else ())
            yield pattern.name, names


def _walk(patterns: list[Any]) -> Iterator[URLPattern]:
    for each in patterns:
        if isinstance(each, URLResolver):
            yield from _walk(each.url_patterns)
        else:
            yield each


def right_for(name: str) -> str:
    """What an address needs; a page that nobody thought of here is an error."""
    if name in COMMON:
        return COMMON[name]
    if name in OWN_PAGES:
        return OWN_PAGES[name]
    found = re.fullmatch(r"([a-z]+)_([a-z]+)_(changelist|change|history|add|delete)", name)
    assert found, f"{name}: say in OWN_PAGES which right this page needs"
    app, model, page = found.groups()
    if page in {"add", "delete"}:
        return f"{app}.{page}_{model}" if page in WRITES.get(f"{app}_{model}", ()) else NEVER
    return f"{app}.view_{model}"


def may(user: User, right: str) -> bool:
    if right == NEVER:
        return False
    return right == EVERYBODY or user.has_perm(right)
