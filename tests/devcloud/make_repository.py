"""Run on a machine: /srv/test-packages.json in, .debs out, and a repository of them: the only one that is left to apt.

A package: {"name", "version", "depends": "", "files": {path: text}, "conffiles": [path], "postinst": shell, …}.
"""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

REPOSITORY = Path("/srv/repository")
SOURCES = Path("/etc/apt/sources.list.d")


def make(package):
    root = Path("/srv/test-package")
    shutil.rmtree(root, ignore_errors=True)
    control = root / "DEBIAN"
    control.mkdir(parents=True)
    head = f"Package: {package['name']}\nVersion: {package['version']}\n"
    head += "Architecture: all\nMaintainer: Ada <ada@localhost>\n"
    head += f"Depends: {package['depends']}\n" if package.get("depends") else ""
    (control / "control").write_text(head + "Description: made by a test\n")
    for path, text in package.get("files", {}).items():
        target = root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    if package.get("conffiles"):
        (control / "conffiles").write_text("".join(f"{path}\n" for path in package["conffiles"]))
    for script in ("preinst", "postinst", "config", "templates"):
        if script in package:
            (control / script).write_text(package[script])
            (control / script).chmod(0o644 if script == "templates" else 0o755)
    made = REPOSITORY / f"{package['name']}_{package['version']}_all.deb"
    subprocess.run(["dpkg-deb", "--build", root, made], check=True, stdout=subprocess.DEVNULL)
    data = made.read_bytes()
    sums = f"Filename: ./{made.name}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"
    return head + sums + "Description: made by a test\n"


REPOSITORY.mkdir(exist_ok=True)
entries = [make(package) for package in json.loads(Path("/srv/test-packages.json").read_text())]
(REPOSITORY / "Packages").write_text("\n".join(entries))
for path in [Path("/etc/apt/sources.list"), *SOURCES.iterdir()]:
    path.unlink(missing_ok=True)
shutil.rmtree("/var/lib/apt/lists")
(SOURCES / "test.list").write_text(f"deb [trusted=yes] file:{REPOSITORY} ./\n")
