"""Celery's workers and beats where no task is done any more: they finish what they have begun, and are forgotten."""

from kokki import *

env.cookbook("supervisor").forget("celery-*.conf", "beat-*.conf")
env.include_recipe("django.cron")
