"""PostgreSQL, configured by files of ours beside Debian's, and what it shall hold."""

from kokki import *

if env.cookbooks.postgresql.is_retired():
    # Another server has taken over: what is here is nobody's business but a person's.
    env.cookbooks.postgresql.refuse_to_lead_again(env.config.postgresql)
elif env.config.postgresql.primary:
    env.include_recipe("postgresql.server")  # what it holds comes from there
else:
    env.include_recipe("postgresql.server", "postgresql.contents")
