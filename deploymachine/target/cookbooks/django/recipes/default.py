"""Everything the sites of this server need."""

from kokki import *

env.include_recipe("supervisor", "django.uv", "django.sites", "django.cron")
