"""How the API is wired: who is let in, how answers, errors and the schema are made.

Settings of libraries, under their own names; ``gridtoken.settings`` takes all that is in capitals.
Those that depend on the environment are worked out there.
"""

from __future__ import annotations

from typing import Any

# knox's own migrations would make the table of the model that ours replaces.
MIGRATION_MODULES = {"knox": None}
KNOX_TOKEN_MODEL = "access.ApiToken"  # noqa: S105 — a model's name

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "minting.access.authentication.TokenOrKeyAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_THROTTLE_CLASSES": ["minting.access.throttling.CallerThrottle"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "EXCEPTION_HANDLER": "minting.api.problems.problem_handler",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "GridToken",
    "DESCRIPTION": """Meter readings in, energy tokens on Solana out, exactly once.

- **Who**: `Authorization: Bearer <token>` or `X-API-KEY: <token>`; a token has scopes (`read`,
  `submit`, `mint`, `registry`). An administrator makes it (*API tokens*), or `create_api_token`.
- **Again**: give whatever writes an `Idempotency-Key`; the same request sent again has its effect
  once, and gets its answer.
- **Errors** are `application/problem+json`: `code` is for programs, `detail` for people.
- **Lists** answer `next`, `previous` and `results`: follow `next` until it is null.
- **Batches** are minted by workers: ask their `Location` at the pace of `Retry-After`, with
  `If-None-Match`; or wait with `Prefer: wait=20`; or be told by a webhook.
""",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    # In this order the pages list them: ours first, what older clients know last.
    "TAGS": [
        {"name": "readings", "description": "Send readings, look them up, correct and mint them."},
        {"name": "mint-batch", "description": "Ask for minting, or what it would cost."},
        {"name": "mint-batches", "description": "What was asked for, and what became of it."},
        {"name": "mint-results", "description": "What was paid, for an audit."},
        {"name": "owners", "description": "The persons paid, and their wallets."},
        {"name": "meters", "description": "Where readings come from, and who holds them when."},
        {"name": "wallet-changes", "description": "Wallets that wait for a second person."},
        {
            "name": "platform's clients",
            "description": "Addresses that the platform's older clients know; new clients use what "
            "is above.",
        },
    ],
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SWAGGER_UI_DIST": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "minting.api.description.complete",
    ],
    "ENUM_NAME_OVERRIDES": {
        "BatchStatus": "minting.api.description.BATCH_STATUSES",
        "BatchSource": "minting.api.description.BATCH_SOURCES",
        "OutcomeStatus": "minting.api.description.OUTCOME_STATUSES",
        "ReadingStatus": "minting.api.description.READING_STATUSES",
        "ResultStatus": "minting.api.description.RESULT_STATUSES",
    },
}
