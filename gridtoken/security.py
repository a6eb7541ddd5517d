"""How the doors are locked: headers, cookies, sessions, lock-out, second factor.

Settings of libraries, under their own names; ``gridtoken.settings`` takes all that is in capitals.
Those that depend on the environment are worked out there.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from csp.constants import NONCE, NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE

# ------------------------------------------------------------------ what a page may load
# Nothing from elsewhere, nothing written into a page, no plug-ins, no frames.
CONTENT_SECURITY_POLICY: dict[str, Any] = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
HTMX_INDICATOR = "'sha256-bsV5JivYxvGywDAZ22EZJKBFip65Ng9xoJVLbBg7bdo='"
"""The one style that htmx writes into each page; another version has another."""
EMPTY_STYLE = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
REDOC_STYLE = "'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='"
"""Redoc fills the empty one rule by rule, which a policy does not see."""
# What some pages need besides, by how their path begins. Why: docs/security.md.
CONTENT_SECURITY_EXCEPTIONS: dict[str, dict[str, list[Any]]] = {
    # Alpine and htmx of unfold work expressions out that stand in attributes.
    "/admin/": {
        "script-src": [UNSAFE_EVAL],
        "style-src": [HTMX_INDICATOR],
        "style-src-attr": [UNSAFE_INLINE],
    },
    "/api/v1/": {"style-src-attr": [UNSAFE_INLINE]},
    "/api/docs/": {"script-src": [NONCE]},
    "/api/redoc/": {
        "script-src": [NONCE],
        "style-src": [EMPTY_STYLE, REDOC_STYLE],
        "worker-src": ["blob:"],
    },
}
PERMISSIONS_POLICY = ", ".join(
    f"{feature}=()"
    for feature in (
        "accelerometer",
        "autoplay",
        "camera",
        "display-capture",
        "geolocation",
        "gyroscope",
        "magnetometer",
        "microphone",
        "midi",
        "payment",
        "screen-wake-lock",
        "usb",
    )
)
# Also within the site no address goes to others; forms over HTTPS need it for their origin.
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# ------------------------------------------------------------------ sessions
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_COOKIE_AGE = 12 * 3600
"""Seconds from the login on, however busy: a working day."""
SESSION_IDLE = 3600
"""Seconds without a request: a page that keeps itself up to date is looked at."""
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True

# ------------------------------------------------------------------ lock-out
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",  # refuses who is locked out, before any password
    "django.contrib.auth.backends.ModelBackend",
]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(hours=1)
# Both together: nobody locks out a colleague from elsewhere, no proxy or office locks itself out.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_CLIENT_IP_CALLABLE = "gridtoken.proxy.client_address"
AXES_HANDLER = "axes.handlers.database.AxesDatabaseHandler"  # counts for all processes
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_LOCKOUT_TEMPLATE = "login/locked.html"
AXES_SENSITIVE_PARAMETERS = ["username", "ip_address", "code", "csrfmiddlewaretoken"]
AXES_ENABLE_ADMIN = False  # minting.admin.access shows them
AXES_VERBOSE = False

# ------------------------------------------------------------------ second factor
ACCOUNT_ADAPTER = "gridtoken.login.adapters.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
ACCOUNT_FORMS = {"reauthenticate": "gridtoken.login.forms.PasswordForm"}
MFA_ADAPTER = "gridtoken.login.adapters.FactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", "webauthn"]
MFA_TOTP_ISSUER = "GridToken"
MFA_TOTP_TOLERANCE = 1  # a phone's clock may be half a minute off; no code counts twice
MFA_FORMS = {
    "activate_totp": "gridtoken.login.forms.EnrolForm",
    "authenticate": "gridtoken.login.forms.CodeForm",
    "reauthenticate": "gridtoken.login.forms.CodeAgainForm",
    "add_webauthn": "gridtoken.login.forms.KeyForm",
}
