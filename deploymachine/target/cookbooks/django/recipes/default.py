"""Everything the sites of this server need."""

from kokki import *

env.include_recipe("django.uv", "django.sites", "django.cron")
