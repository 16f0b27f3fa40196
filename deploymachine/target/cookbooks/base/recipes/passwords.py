"""Passwords that people give themselves: long enough, and stored well; what they make is for nobody else to read."""

from kokki import *

base = env.config.base
SETTINGS = {
    "UMASK": base.umask,
    "HOME_MODE": "0700",
    "PASS_MAX_DAYS": base.password_days,
    "PASS_MIN_DAYS": 1,
    "SHA_CRYPT_MIN_ROUNDS": "65536",
    "SHA_CRYPT_MAX_ROUNDS": "65536",
}

for name, value in SETTINGS.items():
    Line(f"{name} {value}", path="/etc/login.defs", match=rf"^{name}\s")
Line("minlen = 14", path="/etc/security/pwquality.conf", match=r"^#?\s*minlen\s*=")
