"""The guestbook: a small Django project for deploymachine's demo."""

import os

if os.environ.get("BROKER_URL"):  # without one nobody hands out tasks, and nothing waits for Celery to be imported
    from guestbook.celery import app

    __all__ = ["app"]
