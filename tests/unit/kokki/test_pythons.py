"""The bundle as a server has it, under every python3 from 3.9 to 3.13 that is at hand."""

import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from deploymachine.bundle import bundle

VERSIONS = ["3.9", "3.10", "3.11", "3.12", "3.13"]
RECIPE = """
from kokki import *

OUT = env.config.app.out
late = Execute("late", command=f"echo late >> {OUT}/log", action="nothing")
Directory(f"{OUT}/d", mode=0o750)
File(f"{OUT}/d/f", content=Template("app/t.j2", {"name": "Ada"}), mode=0o640, notifies=[("run", late)])
Line("two", path=f"{OUT}/lines", missing_ok=True)
Link(f"{OUT}/l", to="d/f")
Script("script", code="echo script", creates=f"{OUT}/d")
Package("bash")
env.cookbooks.app.Thing("x", only_if="true")
"""
LIBRARY = """
from kokki import *

class Thing(Resource):
    provider = "*app.ThingProvider"
    action = ForcedListArgument(default="make")
    actions = [*Resource.actions, "make"]

class ThingProvider(Provider):
    tells_the_future = True

    def action_make(self):
        self.converge({"made": self.env.config.get("made")}, {"made": None}, lambda changes: None)
"""
RUN = """
import json, sys
sys.path.insert(0, sys.argv[1])
from kokki.runner import cook
request = json.loads(sys.argv[2])
sys.exit(cook(request, lambda event: print(json.dumps(event))))
"""


@pytest.fixture(scope="session")
def unpacked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    with tarfile.open(fileobj=io.BytesIO(bundle(()).data)) as tar:
        tar.extractall(folder, filter="data")
    return folder


@pytest.fixture(params=VERSIONS)
def python(request):
    named = shutil.which(f"python{request.param}")
    kept = sorted(Path.home().glob(f".pyenv/versions/{request.param}.*/bin/python3"))
    for path in [*([named] if named else []), *kept]:
        if subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            return str(path)
    pytest.skip(f"python{request.param} is not at hand")


def test_applied_again_and_dry(world, unpacked, python):
    world.book("app", default=RECIPE)
    world.file("app", "libraries/thing.py", LIBRARY)
    world.file("app", "templates/t.j2", "Hello {{ name }} {{ env.system.hostname and '' }}\n")
    world.etc("var/lib/dpkg/status", "Package: bash\nStatus: install ok installed\nVersion: 5\n\n")
    request = {
        "recipes": ["app"],
        "cookbook_paths": [str(world.books)],
        "attributes": {"app.out": str(world.out), "app.key": {"$secret": "a secret"}},
    }

    def cook(**more):
        argv = [python, "-W", "error", "-I", "-S", "-c", RUN, str(unpacked), json.dumps({**request, **more})]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        assert done.stderr == ""
        return done.returncode, json.loads(done.stdout.splitlines()[-1])["totals"]

    assert cook(dry_run=True)[0] == 2
    code, totals = cook()
    assert (code, totals["changed"], totals["failed"]) == (0, 5, 0)
    assert (world.out / "l").read_text() == "Hello Ada \n"
    assert cook()[1]["changed"] == 0
    assert cook(dry_run=True)[0] == 0
