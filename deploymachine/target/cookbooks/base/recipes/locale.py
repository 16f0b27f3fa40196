"""The system's language."""

from kokki import *

locale = env.config.base.locale
if not locale.startswith("C."):
    Package("locales")
    generate = Execute("locale-gen", action="nothing")
    File("/etc/locale.gen", content=f"{locale} UTF-8\n", mode=0o644, notifies=[("run", generate, True)])
File("/etc/default/locale", content=f"LANG={locale}\n", mode=0o644)
