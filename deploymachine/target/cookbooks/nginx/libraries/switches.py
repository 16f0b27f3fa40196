"""What was said of each site, now or ever before, in; whether it is served, and what its maintenance says, out."""

import json
import os

from kokki import Directory, File
from kokki.paths import system_path

FOLDER = "/etc/deploymachine/nginx"  # a file for each switch that is not where it is by default
NOTICE = {"message": "", "allow": [], "retry_after": 120}


def states(sites, switched):
    """Declare the files that remember it; {site: {"enabled": bool, "maintenance": None or what NOTICE has}}."""
    Directory(FOLDER, recursive=True, mode=0o755)
    found = {site: _state(site, switched.get(site, {})) for site in sites}
    wanted = {file: text for site, state in found.items() for file, text in _files(site, state).items()}
    for file, text in wanted.items():
        File(f"{FOLDER}/{file}", content=text, mode=0o644)
    for file in sorted(_there() - set(wanted)):
        File(f"{FOLDER}/{file}", action="delete", backup=False)
    return found


def _state(site, said):
    enabled = bool(said.get("enabled", f"{site}.disabled" not in _there()))
    maintained = said.get("maintenance", f"{site}.maintenance" in _there())
    notice = said.get("notice", {}) if "maintenance" in said else _remembered(site)
    return {"enabled": enabled, "maintenance": {**NOTICE, **notice} if maintained else None}


def _files(site, state):
    off = {} if state["enabled"] else {f"{site}.disabled": ""}
    notice = state["maintenance"]
    return {**off, f"{site}.maintenance": json.dumps(notice, sort_keys=True) + "\n"} if notice is not None else off


def _remembered(site):
    """What the file says; one of before there was anything to say is empty."""
    try:
        with open(system_path(f"{FOLDER}/{site}.maintenance"), encoding="utf-8") as file:
            return json.loads(file.read() or "{}")
    except (OSError, ValueError):
        return {}


def _there():
    folder = system_path(FOLDER)
    return set(os.listdir(folder)) if os.path.isdir(folder) else set()
