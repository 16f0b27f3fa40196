"""A certificate in, what nginx is told about its revocation out."""

import base64
import re

OCSP = bytes.fromhex("06082b06010505073001")  # as the certificate names "id-ad-ocsp", whose address follows


def stapling(pem):
    """The line that has nginx fetch and hand out its proof of validity, where there is somebody to ask for it."""
    found = re.search(r"-----BEGIN CERTIFICATE-----(.+?)-----END", str(pem), re.DOTALL)
    try:
        own = base64.b64decode(found[1]) if found else b""
    except ValueError:
        own = b""
    return "ssl_stapling on;\n" if OCSP in own else ""
