"""A project's settings module in, the text of one out that adds what servers tell a site: names, database, cache, TLS.

It holds no secret and no address: all of that is in the environment of the server that it runs on.
"""

from __future__ import annotations

import ast
import keyword

from deploymachine.errors import UsageError

TEXT = '''"""{base} as it is on servers: hosts, keys and services come from the environment. Made by deploymachine."""

import importlib.util
import os
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import {base} as _base
from {base} import *  # noqa: F403


def _listed(name):
    return [part for part in os.environ.get(name, "").split(",") if part]


_file = Path(_base.__file__).resolve()
_project = _file.parents[{depth} + (_file.name == "__init__.py")]

DEBUG = False
SECRET_KEY = os.environ["SECRET_KEY"]
ALLOWED_HOSTS = _listed("ALLOWED_HOSTS")
CSRF_TRUSTED_ORIGINS = _listed("CSRF_TRUSTED_ORIGINS")

# The loadbalancer speaks TLS and says so; gunicorn takes the header from nobody else.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True

if os.environ.get("DATABASE_URL"):
    _url = urlsplit(os.environ["DATABASE_URL"])
    DATABASES = {{
        **getattr(_base, "DATABASES", {{}}),
        "default": {{
            "ENGINE": "django.db.backends.postgresql",
            "HOST": _url.hostname,
            "PORT": _url.port or "",
            "NAME": unquote(_url.path.lstrip("/")),
            "USER": unquote(_url.username or ""),
            "PASSWORD": unquote(_url.password or ""),
            "OPTIONS": {{"connect_timeout": 3, **dict(parse_qsl(_url.query))}},
            "CONN_MAX_AGE": 60,
            "CONN_HEALTH_CHECKS": True,
            # pgbouncer may give the next transaction another connection, which knows nothing of this one's cursors.
            "DISABLE_SERVER_SIDE_CURSORS": True,
        }},
    }}

if os.environ.get("CACHE_URL") and importlib.util.find_spec("redis"):
    CACHES = {{
        **getattr(_base, "CACHES", {{}}),
        "default": {{
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": _listed("CACHE_URL"),  # the first is written to, the others are its copies
            "OPTIONS": {{"socket_connect_timeout": 1, "socket_timeout": 1}},
        }},
    }}

if os.environ.get("BROKER_URL"):
    CELERY_BROKER_URL = os.environ["BROKER_URL"]
    CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True

STATIC_URL = getattr(_base, "STATIC_URL", None) or "/static/"
STATIC_ROOT = getattr(_base, "STATIC_ROOT", None) or _project / "staticfiles"
MEDIA_URL = getattr(_base, "MEDIA_URL", None) or "/media/"
MEDIA_ROOT = getattr(_base, "MEDIA_ROOT", None) or _project / "media"
_whitenoise = "whitenoise.middleware.WhiteNoiseMiddleware"
if importlib.util.find_spec("whitenoise") and _whitenoise not in _base.MIDDLEWARE:
    MIDDLEWARE = [*_base.MIDDLEWARE[:1], _whitenoise, *_base.MIDDLEWARE[1:]]

LOGGING = getattr(_base, "LOGGING", None) or {{
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {{"console": {{"class": "logging.StreamHandler"}}}},
    "root": {{"handlers": ["console"], "level": "WARNING"}},
}}
'''


def settings_module(base: str) -> str:
    """The module's text. base: dotted, as in DJANGO_SETTINGS_MODULE. Raises UsageError where it is no module's name."""
    parts = base.split(".")
    if not all(part.isidentifier() and not keyword.iskeyword(part) for part in parts):
        raise UsageError(f"{base!r} is not the name of a module", hint="as in DJANGO_SETTINGS_MODULE: blog.settings")
    text = TEXT.format(base=base, depth=len(parts) - 1)
    ast.parse(text)
    return text
