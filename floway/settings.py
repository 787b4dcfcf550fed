"""Django settings: the only reader of the environment, failing loudly. How a variable is read stands in `environment`."""

from __future__ import annotations

import base64
import binascii
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from floway import secrets_file
from floway.environment import Environment

BASE_DIR = Path(__file__).resolve().parent.parent
env = Environment()
FLOWAY_DATA_DIR = Path(env.str("FLOWAY_DATA_DIR", default=str(BASE_DIR / "data"))).expanduser()

# --- database -------------------------------------------------------------------------------------------------------------

try:
    FLOWAY_DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
except OSError as error:
    raise ImproperlyConfigured(f"FLOWAY_DATA_DIR: {FLOWAY_DATA_DIR} cannot be made: {error.strerror}.") from error
_DATABASE_FILE = FLOWAY_DATA_DIR / "floway.sqlite3"
_database: dict[str, Any] = env.db_url("DATABASE_URL", default=f"sqlite:///{_DATABASE_FILE}")
_pool_min, _pool_max = env.count("FLOWAY_DB_POOL_MIN", 2), env.count("FLOWAY_DB_POOL_MAX", 8)
if _pool_min > _pool_max:
    raise ImproperlyConfigured("FLOWAY_DB_POOL_MIN must not be more than FLOWAY_DB_POOL_MAX.")
if _database["ENGINE"] == "django.db.backends.sqlite3":
    _database["ENGINE"] = "floway.sqlite"
    _database["OPTIONS"] = {
        "timeout": 0.02,
        "write_timeout": 30,
        "transaction_mode": "IMMEDIATE",
        "init_command": (
            # First, for a new file; one that is there changes with its next VACUUM.
            "PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON; "
            # 16 MB, for commands: folding the log back holds up the commit that does it. Serving does it beside its traffic.
            "PRAGMA journal_size_limit=67108864; PRAGMA wal_autocheckpoint=4000;"
        ),
    }
    _database["TEST"] = {"NAME": str(FLOWAY_DATA_DIR / "test.sqlite3")}
elif _database["ENGINE"].startswith("django.db.backends.postgresql"):
    _database["ENGINE"] = "floway.postgresql"
    _database.setdefault("OPTIONS", {})["pool"] = {"min_size": _pool_min, "max_size": _pool_max, "timeout": 10}
    _database["OPTIONS"].setdefault("prepare_threshold", 5)
    # Longer than those who hold a row in the course of things, one after the other; not for ever, if one of them is stuck.
    _database["OPTIONS"].setdefault("lock_timeout", 5)
else:
    raise ImproperlyConfigured("DATABASE_URL must name SQLite or PostgreSQL.")
_database["CONN_MAX_AGE"] = 0
DATABASES = {"default": _database}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- secrets --------------------------------------------------------------------------------------------------------------

_SECRETS_FILE = FLOWAY_DATA_DIR / "secrets.json"
_from_environment = {name: env.str(name, default="") for name in secrets_file.NAMES}
_secrets = secrets_file.load(_SECRETS_FILE)
_missing = [name for name in secrets_file.NAMES if not _from_environment[name] and name not in _secrets]
if _missing:
    if _secrets or _DATABASE_FILE.exists():
        raise ImproperlyConfigured(
            f"Secrets are missing: {', '.join(_missing)}. There is a database or a part of the secrets already, so none "
            f"are made up. Restore {_SECRETS_FILE} from your backup, or set them in the environment."
        )
    _secrets = secrets_file.create(_SECRETS_FILE)
    print(f"floway: made new secrets in {_SECRETS_FILE}; back this file up with the database.", file=sys.stderr)


def _secret(name: str) -> str:
    return _from_environment[name] or _secrets[name]


def _key_bytes(name: str, text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ImproperlyConfigured(f"{name}: a key must be base64.") from error
    if len(key) != 32:
        raise ImproperlyConfigured(f"{name}: a key must be 32 bytes, base64-encoded.")
    return key


def _encryption_keys(text: str) -> dict[str, bytes]:
    keys = {}
    for entry in text.split(","):
        key_id, colon, key = entry.strip().partition(":")
        if not colon or not key_id.isascii() or not 1 <= len(key_id) <= 64:
            raise ImproperlyConfigured("FLOWAY_ENCRYPTION_KEYS must be ID:BASE64[,ID:BASE64…], the current key first.")
        keys[key_id] = _key_bytes("FLOWAY_ENCRYPTION_KEYS", key)
    return keys


SECRET_KEY = _secret("SECRET_KEY")
FLOWAY_ENCRYPTION_KEYS = _encryption_keys(_secret("FLOWAY_ENCRYPTION_KEYS"))
FLOWAY_LOOKUP_KEY = _key_bytes("FLOWAY_LOOKUP_KEY", _secret("FLOWAY_LOOKUP_KEY"))

# --- where it is served ---------------------------------------------------------------------------------------------------

DEBUG = False
FLOWAY_BIND = env.str("FLOWAY_BIND", default="127.0.0.1:8000")
FLOWAY_WORKERS = env.count("FLOWAY_WORKERS", 2)
FLOWAY_MAX_STREAMS = env.count("FLOWAY_MAX_STREAMS", 2000)
FLOWAY_MAX_QUEUE = env.count("FLOWAY_MAX_QUEUE", 500, least=0)
FLOWAY_REQUEST_SECONDS = env.count("FLOWAY_REQUEST_SECONDS", 30)
FLOWAY_DRAIN_SECONDS = env.count("FLOWAY_DRAIN_SECONDS", 0, least=0)
FLOWAY_PUBLIC_URL = env.str("FLOWAY_PUBLIC_URL", default=f"http://{FLOWAY_BIND}").rstrip("/")
FLOWAY_TRUSTED_NETWORKS = env.networks("FLOWAY_TRUSTED_PROXIES")
FLOWAY_TRUSTED_PROXIES = [str(network) for network in FLOWAY_TRUSTED_NETWORKS]
_public = urlsplit(FLOWAY_PUBLIC_URL)
if _public.scheme not in {"http", "https"} or not _public.hostname:
    raise ImproperlyConfigured("FLOWAY_PUBLIC_URL must be an http or https URL.")
ALLOWED_HOSTS = [host.strip() for host in env.list("FLOWAY_ALLOWED_HOSTS", default=[]) if host.strip()]
for _host in ALLOWED_HOSTS:
    if not re.fullmatch(r"\*|\[[0-9A-Fa-f:.]+\]|\.?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", _host):
        raise ImproperlyConfigured(f"FLOWAY_ALLOWED_HOSTS: {_host!r} is no host name: no scheme, port or path.")
ALLOWED_HOSTS = ALLOWED_HOSTS or ["localhost", "127.0.0.1", "[::1]", _public.hostname]
CSRF_TRUSTED_ORIGINS = [f"{_public.scheme}://{_public.netloc}"]

ROOT_URLCONF = "floway.urls"
WSGI_APPLICATION = "floway.wsgi.application"
APPEND_SLASH = False

INSTALLED_APPS = [
    "floway.apps.FlowayConfig",
    "floway.console.apps.ConsoleConfig",
    "accounts.apps.AccountsConfig",
    "responses_app.apps.ResponsesConfig",
    "floway.console.admin_apps.ConsoleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]

# What callers with a key use: they have no session and send no forms, so these requests pass a part of MIDDLEWARE alone.
FLOWAY_API_PREFIXES = ("/v1/", "/backend-api/")
FLOWAY_API_MIDDLEWARE = [
    "floway.middleware.RequestIdMiddleware",
    "floway.middleware.known_host",
    "floway.middleware.stated_length",
]

MIDDLEWARE = [
    *FLOWAY_API_MIDDLEWARE,
    "django.middleware.security.SecurityMiddleware",
    "floway.console.csp.ContentSecurityPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "floway.console.sessions.operators_request",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
STATIC_URL = "static/"
# Served from the packages themselves: no collectstatic, no second copy to go stale.
WHITENOISE_USE_FINDERS = True
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}

# An uploaded login never touches the disk in clear: what does not fit in memory is not taken.
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]

# --- the operators' sessions ----------------------------------------------------------------------------------------------

_https = _public.scheme == "https"
_secure = env.bool("FLOWAY_SECURE_COOKIES", default=_https)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _secure
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
# Lax, so that the link in a notice leads to the page and not to the sign-in.
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Strict"
# No other host of the domain can set a cookie of this name.
SESSION_COOKIE_NAME = "__Host-floway" if _secure else "floway"
CSRF_COOKIE_NAME = "__Host-floway-csrf" if _secure else "floway-csrf"
CSRF_FAILURE_VIEW = "floway.console.errors.csrf_failure"
FLOWAY_SESSION_SECONDS = SESSION_COOKIE_AGE = env.count("FLOWAY_SESSION_SECONDS", 12 * 3600, least=60)
FLOWAY_SESSION_IDLE_SECONDS = env.count("FLOWAY_SESSION_IDLE_SECONDS", 2 * 3600, least=60)
FLOWAY_REQUIRE_TOTP = env.bool("FLOWAY_REQUIRE_TOTP", default=False)
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SECURE_HSTS_SECONDS = env.count("FLOWAY_HSTS_SECONDS", 30 * 24 * 3600 if _https else 0, least=0)
# Only people are sent on to https; a program that sends its key in clear is not told to do so twice.
SECURE_SSL_REDIRECT = env.bool("FLOWAY_HTTPS_REDIRECT", default=_https)
SECURE_SSL_HOST = _public.netloc if _https else None
SECURE_REDIRECT_EXEMPT = [r"^(?!admin(/|$)|$)"]
# HSTS speaks for this host alone: what else the domain serves is its owner's business.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000
DATA_UPLOAD_MAX_NUMBER_FILES = 4

REST_FRAMEWORK = {
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["responses_app.http.ResponsesRenderer"],
    "DEFAULT_PARSER_CLASSES": [],
    "EXCEPTION_HANDLER": "responses_app.http.exception_handler",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}

FLOWAY_API_REQUESTS_PER_MINUTE = env.count("FLOWAY_API_REQUESTS_PER_MINUTE", 120)
FLOWAY_METRICS_TOKEN = env.str("FLOWAY_METRICS_TOKEN", default="")
if FLOWAY_METRICS_TOKEN and len(FLOWAY_METRICS_TOKEN) < 16:
    raise ImproperlyConfigured("FLOWAY_METRICS_TOKEN must have at least 16 characters; empty for no metrics.")
SPECTACULAR_SETTINGS = {
    "TITLE": "Floway",
    "VERSION": None,
    "SERVE_INCLUDE_SCHEMA": False,
    "ENABLE_DJANGO_DEPLOY_CHECK": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    # Nothing is fetched from elsewhere: no badge of a validator.
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None},
    "COMPONENT_SPLIT_REQUEST": True,
}

# --- the gateway ----------------------------------------------------------------------------------------------------------

FLOWAY_RETENTION_DAYS = env.count("FLOWAY_RETENTION_DAYS", 30)
FLOWAY_HISTORY_DAYS = env.count("FLOWAY_HISTORY_DAYS", 90)
FLOWAY_MAX_BODY_BYTES = env.count("FLOWAY_MAX_BODY_BYTES", 64 * 1024 * 1024)
FLOWAY_MAX_COMPACTION_BODY_BYTES = env.count("FLOWAY_MAX_COMPACTION_BODY_BYTES", 128 * 1024 * 1024)
FLOWAY_MAX_COMPACTION_SECONDS = env.count("FLOWAY_MAX_COMPACTION_SECONDS", 900)
FLOWAY_MAX_STREAM_SECONDS = env.count("FLOWAY_MAX_STREAM_SECONDS", 3600)
FLOWAY_UPSTREAM_IDLE_SECONDS = env.count("FLOWAY_UPSTREAM_IDLE_SECONDS", 600)
FLOWAY_UPSTREAM_CONNECT_SECONDS = env.count("FLOWAY_UPSTREAM_CONNECT_SECONDS", 15)
FLOWAY_KEEPALIVE_SECONDS = env.count("FLOWAY_KEEPALIVE_SECONDS", 15)
FLOWAY_MODELS_FRESH_SECONDS = env.count("FLOWAY_MODELS_FRESH_SECONDS", 300)
FLOWAY_FACTS_FRESH_SECONDS = env.count("FLOWAY_FACTS_FRESH_SECONDS", 24 * 3600)
FLOWAY_MAX_COOLDOWN_SECONDS = env.count("FLOWAY_MAX_COOLDOWN_SECONDS", 6 * 3600)
FLOWAY_MAX_DISPATCHES = env.count("FLOWAY_MAX_DISPATCHES", 3)
FLOWAY_HOLD_BACK_SECONDS = env.float("FLOWAY_HOLD_BACK_SECONDS", default=2.0)
FLOWAY_QUOTA_POLL_SECONDS = env.count("FLOWAY_QUOTA_POLL_SECONDS", 1800, least=0)
FLOWAY_CAPTURE_HOURS = env.count("FLOWAY_CAPTURE_HOURS", 24)
FLOWAY_BACKGROUND_PER_WORKER = env.count("FLOWAY_BACKGROUND_PER_WORKER", 100)
FLOWAY_BACKGROUND_PER_KEY = env.count("FLOWAY_BACKGROUND_PER_KEY", 20)
FLOWAY_WEBSOCKET = env.bool("FLOWAY_WEBSOCKET", default=True)
FLOWAY_WEBSOCKET_SECONDS = env.count("FLOWAY_WEBSOCKET_SECONDS", 3600)
FLOWAY_WEBSOCKET_IDLE_SECONDS = env.count("FLOWAY_WEBSOCKET_IDLE_SECONDS", 1800)
FLOWAY_WEBSOCKETS = env.count("FLOWAY_WEBSOCKETS", 1000)
FLOWAY_WEBSOCKETS_PER_KEY = env.count("FLOWAY_WEBSOCKETS_PER_KEY", 100)
FLOWAY_WEBSOCKET_MEMORY_BYTES = env.count("FLOWAY_WEBSOCKET_MEMORY_BYTES", 256 * 1024 * 1024)
FLOWAY_ALLOW_LOCAL_PROXY = env.bool("FLOWAY_ALLOW_LOCAL_PROXY", default=False)


# --- keeping logins alive -------------------------------------------------------------------------------------------------

FLOWAY_MAINTENANCE = env.bool("FLOWAY_MAINTENANCE", default=True)
FLOWAY_MAINTENANCE_SECONDS = env.int("FLOWAY_MAINTENANCE_SECONDS", default=30)
FLOWAY_REFRESH_AHEAD_SECONDS = env.int("FLOWAY_REFRESH_AHEAD_SECONDS", default=6 * 3600)
if FLOWAY_MAINTENANCE_SECONDS < 1 or FLOWAY_REFRESH_AHEAD_SECONDS < 60:
    raise ImproperlyConfigured("FLOWAY_MAINTENANCE_SECONDS must be at least 1, FLOWAY_REFRESH_AHEAD_SECONDS at least 60.")

FLOWAY_WEBHOOK_URL = env.webhook_url("FLOWAY_WEBHOOK_URL")
FLOWAY_WEBHOOK_SECRET = env.str("FLOWAY_WEBHOOK_SECRET", default="")
if FLOWAY_WEBHOOK_URL and len(FLOWAY_WEBHOOK_SECRET) < 16:
    raise ImproperlyConfigured("FLOWAY_WEBHOOK_URL needs a FLOWAY_WEBHOOK_SECRET of at least 16 characters to sign with.")

FLOWAY_NOTICE_EMAILS = env.list("FLOWAY_NOTICE_EMAILS", default=[])
_mail = env.email_url("FLOWAY_EMAIL_URL", default="dummymail://")
if FLOWAY_NOTICE_EMAILS and _mail["EMAIL_BACKEND"].endswith("dummy.EmailBackend"):
    raise ImproperlyConfigured("FLOWAY_NOTICE_EMAILS needs a FLOWAY_EMAIL_URL, such as smtp+tls://user:password@host:587.")
EMAIL_BACKEND = _mail["EMAIL_BACKEND"]
EMAIL_HOST, EMAIL_PORT = _mail.get("EMAIL_HOST") or "localhost", _mail.get("EMAIL_PORT") or 25
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _mail.get("EMAIL_HOST_USER") or "", _mail.get("EMAIL_HOST_PASSWORD") or ""
EMAIL_USE_TLS, EMAIL_USE_SSL = _mail.get("EMAIL_USE_TLS", False), _mail.get("EMAIL_USE_SSL", False)
EMAIL_FILE_PATH = _mail.get("EMAIL_FILE_PATH") or None
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.str("FLOWAY_MAIL_FROM", default=f"floway@{_public.hostname}")

# --- providers ------------------------------------------------------------------------------------------------------------

FLOWAY_PROVIDERS: dict[str, dict[str, Any]] = {
    "codex": {
        "class": "floway.providers.codex.provider.CodexProvider",
        "label": "ChatGPT (Codex)",
        "import_help": "codex login writes ~/.codex/auth.json. To make one for the gateway alone, sign in with CODEX_HOME set "
        "to an empty directory and take auth.json from there.",
        "options": {
            "base_url": env.upstream_url("FLOWAY_CODEX_BASE_URL", "https://chatgpt.com/backend-api"),
            "auth_url": env.upstream_url("FLOWAY_CODEX_AUTH_URL", "https://auth.openai.com"),
            "profile": env.str("FLOWAY_CODEX_PROFILE", default="0.169.0"),
            "connect_timeout": FLOWAY_UPSTREAM_CONNECT_SECONDS,
            "answer_timeout": FLOWAY_UPSTREAM_IDLE_SECONDS,
            "allowed_origins": env.list("FLOWAY_CODEX_ALLOWED_ORIGINS", default=[".chatgpt.com"]),
        },
    }
}

# --- logs -----------------------------------------------------------------------------------------------------------------

_log_level = env.str("FLOWAY_LOG_LEVEL", default="INFO").upper()
if _log_level not in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}:
    raise ImproperlyConfigured("FLOWAY_LOG_LEVEL must be DEBUG, INFO, WARNING, ERROR or CRITICAL.")
FLOWAY_LOG_FORMAT = env.str("FLOWAY_LOG_FORMAT", default="console")
if FLOWAY_LOG_FORMAT not in {"console", "json"}:
    raise ImproperlyConfigured("FLOWAY_LOG_FORMAT must be console or json.")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": "floway.logs.RequestIdFilter"}},
    "formatters": {
        "console": {"()": "floway.logs.ConsoleFormatter"},
        "json": {"()": "floway.logs.JSONFormatter"},
    },
    "handlers": {
        "stderr": {
            "class": "floway.logs.LineHandler",
            "filters": ["request_id"],
            "formatter": FLOWAY_LOG_FORMAT,
        }
    },
    "root": {"handlers": ["stderr"], "level": _log_level},
    "loggers": {
        "django.server": {"handlers": [], "propagate": True},
        # Our own line per request says what became of it, and why.
        "django.request": {"handlers": [], "propagate": False},
        "django.security.DisallowedHost": {"handlers": [], "propagate": False},
    },
}

# --- what nothing above has asked for -------------------------------------------------------------------------------------

FLOWAY_KNOWN_NAMES = sorted(env.known)
FLOWAY_UNKNOWN_NAMES = env.unknown()
