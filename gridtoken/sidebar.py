"""The admin's frame, as django-unfold wants it told: title, scripts, the sidebar's pages."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse
from django.utils.functional import lazy
from django.utils.module_loading import import_string

_address = lazy(cache(reverse), str)
"""As ``reverse_lazy``, found once a process: unfold asks for each link several times a page."""


def _page(title: str, icon: str, model: str, app: str = "minting") -> dict[str, Any]:
    """A page of the sidebar, for those who may see its rows."""
    return {
        "title": title,
        "icon": icon,
        "link": _address(f"admin:{app}_{model}_changelist"),
        "permission": lambda request: request.user.has_perm(f"{app}.view_{model}"),
    }


def _inbox(name: str) -> str:
    """What ``minting.admin.inbox.badge`` says, which settings must not import."""
    words: str = import_string(f"minting.admin.inbox.badge.{name}")()
    return words


def _waiting_approvals() -> str:
    """Beside a page of the sidebar. Templates call it; a dotted path would leave an empty badge."""
    return _inbox("waiting_badge")


_INBOX = (("batches_tab", "minting", "mintapproval"), ("wallets_tab", "readings", "walletchange"))
"""Tabs of the approvers' inbox: the function that names each, and the rows in it."""


def _tab(named_by: str, app: str, model: str) -> dict[str, Any]:
    """One of them; its name counts only where it is shown."""
    return {
        "title": lazy(_inbox, str)(named_by),
        "link": _address(f"admin:{app}_{model}_changelist"),
        "permission": lambda request: request.user.has_perm(f"{app}.view_{model}"),
    }


def without_inline_styles(_request: HttpRequest) -> dict[str, Any]:
    """For every page of the admin: the theme's colours come from ``theme.css``."""
    return {"colors": None}


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "GridToken",
    "SITE_HEADER": "GridToken",
    "SITE_SUBHEADER": "Energy tokens for meter readings",
    "SITE_URL": None,  # there is no site but this
    "SITE_SYMBOL": "bolt",
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda _request: static("minting/icon.svg"),
        }
    ],
    "DASHBOARD_CALLBACK": "minting.admin.dashboard.pages.dashboard",
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "STYLES": [
        lambda _request: static("minting/theme.css"),
        lambda _request: static("minting/admin.css"),
    ],
    "GLOBAL_CALLBACK": "gridtoken.sidebar.without_inline_styles",
    "ACCOUNT": {
        "navigation": [
            {"title": "Change password", "link": _address("admin:password_change")},
            {"title": "Second factor", "link": _address("mfa_index")},
        ]
    },
    "SCRIPTS": [
        lambda _request: static("minting/times.js"),
        lambda _request: static("minting/copy.js"),
        lambda _request: static("minting/pages.js"),
        lambda _request: static("minting/reach.js"),
    ],
    "TABS": [
        {
            "models": [f"{app}.{model}" for _, app, model in _INBOX],
            "items": [_tab(*each) for each in _INBOX],
        }
    ],
    "SIDEBAR": {
        "navigation": [
            {
                "title": "",
                "items": [
                    {
                        "title": "Dashboard",
                        "icon": "dashboard",
                        "link": _address("admin:index"),
                    }
                ],
            },
            {
                "title": "Minting",
                "items": [
                    _page("Readings", "electric_meter", "meterreading", "readings"),
                    _page("Batches", "inventory_2", "mintbatch"),
                    _page("Approvals", "how_to_reg", "mintapproval")
                    | {
                        "badge": _waiting_approvals,
                        "active": lambda request: any(
                            f"/{app}/{model}/" in request.path for _, app, model in _INBOX
                        ),
                    },
                    _page("Results", "fact_check", "mintresult"),
                    _page("Transactions", "receipt_long", "minttransaction")
                    | {
                        "active": lambda request: (
                            "/minttransaction/" in request.path
                            and not request.path.endswith("/statements/")
                        )
                    },
                    _page("Statements", "request_quote", "minttransaction")
                    | {"link": _address("admin:minting_statements")},
                    _page("Mint", "toll", "mintinfo"),
                    _page("Stops", "block", "mintingstop"),
                    _page("Polling", "autorenew", "pollingpause"),
                    _page("Reconciliations", "balance", "reconcilerun"),
                    _page("Differences", "difference", "reconcilefinding"),
                ],
            },
            {
                "title": "Registry",
                "items": [
                    _page("Owners", "person", "owner", "readings"),
                    _page("Wallets", "account_balance_wallet", "wallet", "readings"),
                    _page("Meters", "speed", "meter", "readings"),
                    {
                        "title": "Imports",
                        "icon": "upload_file",
                        "link": _address("admin:readings_importfile_changelist"),
                        "permission": lambda request: (
                            request.user.has_perm("readings.view_importfile")
                            or request.user.has_perm("readings.import_readings")
                        ),
                    },
                ],
            },
            {
                "title": "Access",
                "items": [
                    _page("Users", "badge", "user", "auth"),
                    _page("Groups", "groups", "group", "auth"),
                    _page("API tokens", "key", "apitoken", "access"),
                    _page("API calls", "policy", "apicall", "access"),
                    _page("Failed logins", "gpp_maybe", "accessattempt", "axes"),
                    _page("Logins", "login", "accesslog", "axes"),
                    _page("Changes", "history", "logentry", "auditlog"),
                ],
            },
            {
                "title": "Webhooks",
                "items": [
                    _page("Endpoints", "webhook", "webhookendpoint"),
                    _page("Deliveries", "outgoing_mail", "webhookdelivery"),
                ],
            },
        ],
    },
}
