"""A password in, the SCRAM-SHA-256 verifier that PostgreSQL stores out (RFC 5802): the password never goes there."""

import base64
import hashlib
import hmac
import os
import re
import stringprep
import unicodedata

ITERATIONS = 4096  # PostgreSQL's own
VERIFIER = re.compile(r"SCRAM-SHA-256\$(\d+):([^$]+)\$([^:]+:.+)")


def make_verifier(password, salt=None, iterations=ITERATIONS):
    salt = os.urandom(16) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", _prepared(password).encode(), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    return f"SCRAM-SHA-256${iterations}:{_text(salt)}${_text(stored)}:{_text(server)}"


def verifies(password, verifier):
    """Whether the verifier was made of that password."""
    parts = VERIFIER.fullmatch(verifier or "")
    if parts is None:
        return False
    again = make_verifier(password, base64.b64decode(parts[2]), int(parts[1]))
    return hmac.compare_digest(again, verifier)


def _text(data):
    return base64.b64encode(data).decode()


def _prepared(password):
    """SASLprep (RFC 4013) as PostgreSQL does it: a password that it forbids is taken as it is."""
    mapped = "".join(" " if stringprep.in_table_c12(c) else c for c in password if not stringprep.in_table_b1(c))
    normal = unicodedata.normalize("NFKC", mapped)
    forbidden = (stringprep.in_table_c21_c22, stringprep.in_table_c3, stringprep.in_table_c8, stringprep.in_table_c9)
    return password if any(test(c) for c in normal for test in forbidden) else normal
