"""Sites where they are not served any more: their programs are forgotten, CRON is as it is wanted; their files stay."""

from kokki import *

env.cookbook("supervisor").forget("site-*.conf")
env.include_recipe("django.cron")
