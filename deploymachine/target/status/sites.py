"""What the sites' directories and nginx's configuration say: the release of each site, and the certificates shown."""

from __future__ import annotations

import glob
import os
import re
from typing import Any, Dict, List

ROOT = os.environ.get("DEPLOYMACHINE_ROOT", "/")
SITES = "srv/sites"
NGINX = ("etc/nginx/sites-enabled/*", "etc/nginx/conf.d/*.conf")
OF_LOGS = "etc/rsyslog.d/tls/server.pem"
NAMED = re.compile(r"^\s*ssl_certificate\s+([^\s;]+)\s*;", re.MULTILINE)
FIRST = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def releases() -> List[Dict[str, Any]]:
    """name; release and commit ("" where none is live); settled: False where a switch did not come to its end."""
    folder = os.path.join(ROOT, SITES)
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return [_release(name, os.path.join(folder, name)) for name in names]


def _release(name: str, root: str) -> Dict[str, Any]:
    current = os.path.join(root, "current")
    live = os.path.basename(os.readlink(current)) if os.path.islink(current) else ""
    commit = _text(os.path.join(current, "REVISION")).strip() if live else ""
    settled = not os.path.exists(os.path.join(root, ".switching"))
    return {"name": name, "release": live, "commit": commit, "settled": settled}


def certificates() -> List[Dict[str, str]]:
    """path, and the file's first certificate (PEM): of every one that nginx shows, and of the server's own logs."""
    configured = (path for pattern in NGINX for path in sorted(glob.glob(os.path.join(ROOT, pattern))))
    paths = [found for path in configured for found in NAMED.findall(_text(path))]
    own = [f"/{OF_LOGS}"] if os.path.exists(os.path.join(ROOT, OF_LOGS)) else []
    return [{"path": path, "pem": _first(path)} for path in dict.fromkeys([*paths, *own])]


def _first(path: str) -> str:
    found = FIRST.search(_text(os.path.join(ROOT, path.lstrip("/"))))
    return found[0] if found else ""


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 20)
    except OSError:
        return ""
