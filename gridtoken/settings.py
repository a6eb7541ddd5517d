"""Django settings: the environment, declared and wired.

Settings bear the names of their variables; what each means is in docs/ and ``.env.example``.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from gridtoken import VERSION, logs, sentry, sidebar
from gridtoken.embedded import postgres
from gridtoken.env import BASE_DIR, load
from gridtoken.rest import *  # noqa: F403 — settings of libraries
from gridtoken.security import *  # noqa: F403 — settings of libraries

env = load()

# ------------------------------------------------------------------ who we are, and how open
DATA_DIR = env.folder("DATA_DIR", BASE_DIR / ".data", shown=".data")
DEBUG = env.flag("DJANGO_DEBUG", default=False)
SECRET_KEY = env.text("DJANGO_SECRET_KEY")
ALLOWED_HOSTS = env.words("DJANGO_ALLOWED_HOSTS")
if not SECRET_KEY:
    if not DEBUG:
        raise env.refused("DJANGO_SECRET_KEY", "a long random text (or DJANGO_DEBUG true)")
    # The same in web and worker: the queue's payloads are signed with it.
    SECRET_KEY = "only-for-debugging-never-in-production"  # noqa: S105 — not a secret, by its name
if not ALLOWED_HOSTS and not DEBUG:
    raise env.refused("DJANGO_ALLOWED_HOSTS", "the host names that are served")
CSRF_TRUSTED_ORIGINS = env.words("DJANGO_CSRF_TRUSTED_ORIGINS")
DJANGO_TRUSTED_PROXY = env.networks("DJANGO_TRUSTED_PROXY")
DJANGO_HTTPS = env.flag("DJANGO_HTTPS", default=not DEBUG, shown="")

# ------------------------------------------------------------------ the chain
SOLANA_RPC_URLS = env.urls("SOLANA_RPC_URL", "http://127.0.0.1:8899")
SOLANA_RPC_URL = SOLANA_RPC_URLS[0]
SOLANA_RPC_MAX_PER_SECOND = env.whole("SOLANA_RPC_MAX_PER_SECOND")
SOLANA_GENESIS_HASH = env.hash("SOLANA_GENESIS_HASH")
SOLANA_COMMITMENT = env.choice("SOLANA_COMMITMENT", "confirmed", "finalized")
EXPLORER_URL = env.url("EXPLORER_URL")

MINT_SIGNER = env.choice("MINT_SIGNER", "keypair", "vault")
MINT_AUTHORITY_KEYPAIR = env.file("MINT_AUTHORITY_KEYPAIR")
MINT_AUTHORITY_ADDRESS = env.address("MINT_AUTHORITY_ADDRESS")
VAULT_ADDR = env.url("VAULT_ADDR")
VAULT_TOKEN = env.text("VAULT_TOKEN")
VAULT_TOKEN_FILE = env.file("VAULT_TOKEN_FILE")
VAULT_ROLE_ID = env.text("VAULT_ROLE_ID")
VAULT_SECRET_ID = env.text("VAULT_SECRET_ID")
VAULT_SECRET_ID_FILE = env.file("VAULT_SECRET_ID_FILE")
VAULT_APPROLE_MOUNT = env.text("VAULT_APPROLE_MOUNT", "approle")
VAULT_NAMESPACE = env.text("VAULT_NAMESPACE")
VAULT_CACERT = env.file("VAULT_CACERT")
VAULT_TRANSIT_KEY = env.text("VAULT_TRANSIT_KEY")
VAULT_TRANSIT_MOUNT = env.text("VAULT_TRANSIT_MOUNT", "transit")
# Less than a third of a blockhash's life, or what was signed is too old to land.
VAULT_TIMEOUT_SECS = env.whole("VAULT_TIMEOUT_SECS", 5, most=15)
ENERGY_TOKEN_MINT = env.address("ENERGY_TOKEN_MINT")
MINT_PROGRAM = env.choice("MINT_PROGRAM", "spl-token", "anchor")
MINT_PROGRAM_ID = env.address("MINT_PROGRAM_ID")
MINT_PROGRAM_IDL = env.file("MINT_PROGRAM_IDL")
MINT_PROGRAM_INSTRUCTION = env.text("MINT_PROGRAM_INSTRUCTION", "mint_tokens_direct")
MINT_PROGRAM_ACCOUNTS = env.pairs("MINT_PROGRAM_ACCOUNTS", "account=address")
MINT_PROGRAM_SIGNERS = env.named_files("MINT_PROGRAM_SIGNERS", "account=keypair file")
if MINT_PROGRAM == "anchor" and MINT_PROGRAM_IDL is None:
    raise env.refused("MINT_PROGRAM_IDL", "the path of an Anchor IDL while MINT_PROGRAM is anchor")
MINT_JOURNAL_DIR = env.folder("MINT_JOURNAL_DIR", DATA_DIR / "journal", shown="")

# ------------------------------------------------------------------ batches and amounts
BLOCKCHAIN_MAX_BATCH_SIZE = env.whole("BLOCKCHAIN_MAX_BATCH_SIZE", 50)
BLOCKCHAIN_MAX_TOKENS_PER_TRANSACTION = env.whole("BLOCKCHAIN_MAX_TOKENS_PER_TRANSACTION", 10**12)
BLOCKCHAIN_CONCURRENT_BATCHES = env.whole("BLOCKCHAIN_CONCURRENT_BATCHES", 5)
BLOCKCHAIN_FEE_ESTIMATION_ENABLED = env.flag("BLOCKCHAIN_FEE_ESTIMATION_ENABLED", default=True)
BLOCKCHAIN_BATCH_RETRY_ENABLED = env.flag("BLOCKCHAIN_BATCH_RETRY_ENABLED", default=True)
BLOCKCHAIN_TRANSACTION_VERSION = env.choice("BLOCKCHAIN_TRANSACTION_VERSION", "auto", "0", "1")
BLOCKCHAIN_PRIORITY_FEE = env.whole_or_auto("BLOCKCHAIN_PRIORITY_FEE", 0)
# Twenty times what two signatures cost: a congested hour passes, a mistyped price does not.
BLOCKCHAIN_MAX_PRIORITY_FEE = env.whole("BLOCKCHAIN_MAX_PRIORITY_FEE", 200_000)
TOKENIZATION_KWH_TO_TOKEN_RATIO = env.decimal("TOKENIZATION_KWH_TO_TOKEN_RATIO", "1")
TOKENIZATION_DECIMALS = env.whole("TOKENIZATION_DECIMALS", 9, most=18)
TOKENIZATION_MAX_READING_KWH = env.decimal("TOKENIZATION_MAX_READING_KWH", "100")
TOKENIZATION_READING_MAX_AGE_DAYS = env.whole("TOKENIZATION_READING_MAX_AGE_DAYS", 7, most=36_500)
TOKENIZATION_MAX_RETRY_ATTEMPTS = env.whole("TOKENIZATION_MAX_RETRY_ATTEMPTS", 3, least=0, most=100)
TOKENIZATION_INITIAL_RETRY_DELAY_SECS = env.whole(
    "TOKENIZATION_INITIAL_RETRY_DELAY_SECS", 300, most=31_536_000
)
TOKENIZATION_RETRY_BACKOFF_MULTIPLIER = env.decimal(
    "TOKENIZATION_RETRY_BACKOFF_MULTIPLIER", "2.0", least=1
)
TOKENIZATION_MAX_RETRY_DELAY_SECS = env.whole(
    "TOKENIZATION_MAX_RETRY_DELAY_SECS", 3600, most=31_536_000
)
TOKENIZATION_AUTO_MINT_ENABLED = env.flag("TOKENIZATION_AUTO_MINT_ENABLED", default=False)
TOKENIZATION_POLLING_INTERVAL_SECS = env.whole(
    "TOKENIZATION_POLLING_INTERVAL_SECS", 60, most=86_400
)
TOKENIZATION_MINT_THRESHOLD_KWH = env.decimal("TOKENIZATION_MINT_THRESHOLD_KWH", "0", least=0)
MINT_MAX_KWH_PER_DAY = env.decimal("MINT_MAX_KWH_PER_DAY")
APPROVAL_ABOVE_KWH = env.decimal("APPROVAL_ABOVE_KWH")
APPROVAL_ABOVE_LAMPORTS = env.whole("APPROVAL_ABOVE_LAMPORTS")
APPROVAL_EXPIRES_HOURS = env.whole("APPROVAL_EXPIRES_HOURS", 72, most=8_760)

# ------------------------------------------------------------------ webhooks
WEBHOOK_ALLOW_PRIVATE = env.flag("WEBHOOK_ALLOW_PRIVATE", default=False)

# ------------------------------------------------------------------ database
# Workers keep a connection for a minute and test it first; web processes pool instead
# (gridtoken.web): a pool's sockets must not be inherited by the processes that qcluster forks.
ALLOW_VOLATILE_DATABASE = False
"""Whether a server that may forget what it committed is put up with: in tests only."""
# Of libpq. A machine that vanished says nothing: left to the kernel, whoever waits for it waits for
# a quarter of an hour, and for two hours where nothing was on its way. In half a minute it is gone.
_PATIENCE = {
    "connect_timeout": "10",
    "tcp_user_timeout": "30000",  # milliseconds
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
}


def _database(parts: dict[str, str] | None, folder: Path) -> dict[str, Any]:
    common = {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}
    if parts is None:
        return {
            **common,
            "ENGINE": "gridtoken.database",
            "EMBEDDED": {"folder": folder, "throwaway": False},
            "NAME": postgres.NAME,
            "USER": postgres.NAME,
            "HOST": str(postgres.socket_folder(folder)),
            "OPTIONS": {},
        }
    own = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}
    return {
        **common,
        "ENGINE": "django.db.backends.postgresql",
        **{django: parts.get(libpq, "") for libpq, django in own.items()},
        "OPTIONS": _PATIENCE | {key: value for key, value in parts.items() if key not in own},
    }


DATABASES = {"default": _database(env.database("DATABASE_URL", shown=""), DATA_DIR / "postgres")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# ------------------------------------------------------------------ the queue
Q_WORKERS = env.whole("Q_WORKERS") or os.cpu_count() or 1
Q_BROKER_URL = env.broker("Q_BROKER_URL")
# PostgreSQL delivers at least once, Redis at most once. What each value prevents:
Q_CLUSTER: dict[str, Any] = {
    "name": "gridtoken",  # signs the payloads: another name deletes waiting tasks
    "workers": Q_WORKERS,
    "timeout": 600,  # a slice waits for the chain; past this its lease has run out anyway
    "retry": 1900,  # > 3 x timeout: what was fetched ahead is not delivered to a second worker
    "guard_cycle": 0.5,  # must divide timeout + 3: the guard waits for exactly zero
    "queue_limit": 1,
    "bulk": 1,
    "poll": 0.2,
    "save_limit": -1,  # no rows for successes (our own tables tell); failures are always kept
    "ack_failures": True,  # what failed is found again by our recovery, not by redelivery
    "max_attempts": 3,
    "catch_up": False,  # sweeps that were missed are not made up for
    "label": "Queue",
}
if Q_BROKER_URL is None:
    Q_CLUSTER |= {"orm": "default"}
else:
    Q_CLUSTER |= {"broker_class": "gridtoken.broker.RedisBroker", "redis": Q_BROKER_URL}

# ------------------------------------------------------------------ applications
INSTALLED_APPS = [
    "gridtoken",
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "gridtoken.login.apps.LockOutConfig",
    "csp",
    "auditlog",
    "django_structlog",
    "rest_framework",
    "knox",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "minting.access",
    "minting",
    "readings",
    "django_q",
]
MIDDLEWARE = [
    "minting.monitoring.requests.RequestTimingMiddleware",
    "gridtoken.proxy.TrustedProxyMiddleware",
    "gridtoken.requests.ProbeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "gridtoken.headers.PolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "gridtoken.requests.RequestLogMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "gridtoken.login.middleware.SessionMiddleware",
    "gridtoken.changes.ChangeLogMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",  # the last: whatever was answered, who is locked out reads so
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "minting.admin.stops.banner",
                "minting.admin.webhooks.endpoints.banner",
            ]
        },
    }
]
ROOT_URLCONF = "gridtoken.urls"
WSGI_APPLICATION = "gridtoken.wsgi.application"
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"  # for whoever opens the login page itself
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True


UNFOLD = sidebar.UNFOLD

# ------------------------------------------------------------------ the change log
# Who may be paid where, and who may do what. Never readings, results or the journal: these are
# written in bulk, and tell who and when themselves.
AUDITLOG_INCLUDE_TRACKING_MODELS: list[str | dict[str, Any]] = [
    {
        "model": "readings.Owner",
        "exclude_fields": ["wallets", "wallet_changes", "assignments", "readings"],
    },
    "readings.Wallet",
    {
        "model": "readings.WalletChange",
        # Who and when stand beside every entry.
        "exclude_fields": ["proposed_by", "proposed_at", "decided_by", "decided_at"],
    },
    {"model": "readings.Meter", "exclude_fields": ["assignments", "readings"]},
    "readings.MeterAssignment",
    {
        "model": "auth.User",
        # A login changes nobody's rights; tokens are logged as themselves.
        "exclude_fields": ["last_login", "auth_token_set"],
        "mask_fields": ["password"],
        "mask_callable": "gridtoken.changes.masked",
        "m2m_fields": ["groups", "user_permissions"],
    },
    {"model": "auth.Group", "m2m_fields": ["permissions"]},
    {"model": "access.ApiToken", "exclude_fields": ["digest", "calls", "last_used_at"]},
]

# ------------------------------------------------------------------ static files
STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        # Names carry a digest, so that a browser never mixes two versions; debugging serves the
        # files as they lie, without collecting.
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
WHITENOISE_KEEP_ONLY_HASHED_FILES = True

# ------------------------------------------------------------------ REST
PLATFORM_DOORS = env.flag("PLATFORM_DOORS", default=True)
API_RATE = env.rate("API_RATE", "6000/min")
"""Calls, and the seconds that they are for."""

# ------------------------------------------------------------------ security
SECURE_SSL_REDIRECT = DJANGO_HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = 31_536_000 if DJANGO_HTTPS else 0
SESSION_COOKIE_SECURE = DJANGO_HTTPS
CSRF_COOKIE_SECURE = DJANGO_HTTPS
# A browser takes such a name from this very host alone, over HTTPS: no neighbour can plant one.
_HOST = "__Host-" if DJANGO_HTTPS else ""
SESSION_COOKIE_NAME = f"{_HOST}sessionid"
CSRF_COOKIE_NAME = f"{_HOST}csrftoken"
STAFF_MFA_REQUIRED = env.flag("STAFF_MFA_REQUIRED", default=not DEBUG, shown="")
# Only a trusted proxy's headers get this far: gridtoken.proxy takes the others' away.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if DJANGO_TRUSTED_PROXY else None
USE_X_FORWARDED_HOST = bool(DJANGO_TRUSTED_PROXY)
DEFAULT_EXCEPTION_REPORTER_FILTER = "gridtoken.error_pages.ReportFilter"
# HSTS is for this host: what else the domain serves, and browsers' lists, are not ours to decide.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# ------------------------------------------------------------------ metrics
METRICS_TOKEN = env.text("METRICS_TOKEN")

# ------------------------------------------------------------------ e-mail
EMAIL_URL = env.mail("EMAIL_URL")
EMAIL_BACKEND = f"django.core.mail.backends.{'smtp' if EMAIL_URL else 'dummy'}.EmailBackend"
if EMAIL_URL is not None:
    EMAIL_HOST, EMAIL_PORT = EMAIL_URL.host, EMAIL_URL.port
    EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = EMAIL_URL.user, EMAIL_URL.password
    EMAIL_USE_TLS, EMAIL_USE_SSL = EMAIL_URL.starttls, EMAIL_URL.tls
EMAIL_TIMEOUT = 20
EMAIL_FROM = DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.text("EMAIL_FROM", "gridtoken@localhost")
DIGEST_TO = env.words("DIGEST_TO")
DIGEST_HOUR = env.whole("DIGEST_HOUR", 6, least=0, most=23)
DIGEST_ALWAYS = env.flag("DIGEST_ALWAYS", default=False)
if DIGEST_TO and EMAIL_URL is None:
    raise env.refused("EMAIL_URL", "a mail server's URL while DIGEST_TO names somebody")

# ------------------------------------------------------------------ logs
LOGGING_CONFIG = "gridtoken.logs.configure"
LOG_LEVEL = env.choice("LOG_LEVEL", "INFO", "DEBUG", "WARNING", "ERROR")
LOG_FORMAT = env.choice("LOG_FORMAT", "auto", "json", "text")
LOGGING = logs.config(debug=DEBUG, level=LOG_LEVEL, form=LOG_FORMAT)
DJANGO_STRUCTLOG_TRUST_UPSTREAM_REQUEST_ID = True  # what is not usable as one is replaced first
# The address in the log is what gridtoken.proxy left: never a header that anybody may claim.
IPWARE_META_PRECEDENCE_ORDER = ["REMOTE_ADDR"]
DJANGO_STRUCTLOG_STATUS_START_LOG_LEVEL = logging.DEBUG  # one line a request: its end

# ------------------------------------------------------------------ errors, told to a Sentry
# The last of all: whatever is declared above as a secret is hidden in what is told.
SENTRY_DSN = env.url("SENTRY_DSN") or ""
if SENTRY_DSN:
    sentry.configure(
        SENTRY_DSN,
        environment="development" if DEBUG else "production",
        release=f"gridtoken@{VERSION}",
        secrets=[
            *env.secrets(),
            *sentry.secrets_of([*SOLANA_RPC_URLS, Q_BROKER_URL or ""]),
            DATABASES["default"].get("PASSWORD", ""),
            EMAIL_URL.password if EMAIL_URL else "",
        ],
    )
