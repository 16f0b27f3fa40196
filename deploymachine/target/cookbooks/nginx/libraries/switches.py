"""What was said of each site in, on now or ever before; whether it is served, and whether it is in maintenance, out."""

import os

from kokki import Directory, File
from kokki.paths import system_path

FOLDER = "/etc/deploymachine/nginx"  # an empty file for each switch that is not where it is by default
DEFAULTS = {"enabled": True, "maintenance": False}


def states(sites, switched):
    """Declare the files that remember it; {site: {"enabled": bool, "maintenance": bool}}."""
    Directory(FOLDER, recursive=True, mode=0o755)
    found = {site: {name: _state(site, name, switched) for name in DEFAULTS} for site in sites}
    wanted = {_file(site, name): state != DEFAULTS[name] for site in sites for name, state in found[site].items()}
    for file in sorted({*wanted, *_there()}):
        if wanted.get(file):
            File(f"{FOLDER}/{file}", mode=0o644)
        elif file in _there():
            File(f"{FOLDER}/{file}", action="delete", backup=False)
    return found


def _state(site, name, switched):
    default = DEFAULTS[name]
    remembered = default is not (_file(site, name) in _there())
    return bool(switched.get(site, {}).get(name, remembered))


def _file(site, name):
    return f"{site}.{'disabled' if name == 'enabled' else name}"


def _there():
    folder = system_path(FOLDER)
    return set(os.listdir(folder)) if os.path.isdir(folder) else set()
