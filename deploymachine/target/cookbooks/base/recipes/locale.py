"""The system's language."""

import os

from kokki import *

locale = env.config.base.locale
if not locale.startswith("C."):
    Package("locales")
    generate = Execute("locale-gen", action="nothing")
    File("/etc/locale.gen", content=f"{locale} UTF-8\n", mode=0o644, notifies=[("run", generate, True)])
# Newer Debian keeps it in /etc/locale.conf, with a link at the old place.
File(os.path.realpath("/etc/default/locale"), content=f"LANG={locale}\n", mode=0o644)
