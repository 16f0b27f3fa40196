"""Python 2 cookbooks in; what the engine declares from the converted ones, and what is left for a person, out."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest
from kokki import Kitchen

from deploymachine.errors import UsageError
from deploymachine.kokki_import import convert, main, shown

METADATA = """
    __description__ = "A web server"
    __config__ = {
        "web.root": dict(
            description = "Where it is",
            default = "/srv",
        ),
        "web.limits": dict(default = {"files": 8, "size": 020}),
    }
    def __loader__(kit):
        kit.include_recipe("dep")
"""
RECIPE = """
    import os
    from kokki import *

    try:
        raise Fail, "no"
    except Fail, exc:
        pass
    for name, value in sorted(env.config.web.limits.iteritems()):
        File("/etc/web/%s" % name,
            owner = "root",
            mode = 0640,
            content = Template("web/limit.j2", variables=dict(value=value)),
            notifies = [("reload", env.cookbooks.web.service("web"))])
    if not env.config.has_key("other"):
        Directory(env.config.web.root, mode = 0755, recursive = True)
    Execute(u"setup", command = "echo %s" % `1`, not_if = lambda:os.path.exists("/x"))
"""
LIBRARY = """
    from kokki import *
    import helpers_of_ours

    def service(name):
        return Service(name, supports_reload = True)
"""


@pytest.fixture
def web(old):
    old("dep", **{"recipes/default.py": "from kokki import *\nPackage('dep')\n"})
    return old(
        "web",
        **{
            "metadata.py": METADATA,
            "recipes/default.py": RECIPE,
            "libraries/service.py": LIBRARY.replace("    import helpers_of_ours\n", ""),
            "templates/limit.j2": "{{ value }}\n",
            "files/a.bin": "\x00as it is",
            "recipes/old.pyc": "",
        },
    )


def test_what_the_engine_declares_from_it(web, tmp_path):
    done = convert([web], tmp_path / "new")
    assert (done.cookbooks, done.python, done.others, done.notes) == (("dep", "web"), 5, 2, ())
    kitchen = Kitchen()
    kitchen.add_cookbook_path(str(tmp_path / "new"))
    kitchen.include_recipe("web")
    kitchen.prerun()
    assert [str(resource) for resource in kitchen.resource_list] == [
        *("Service[web]", "File[/etc/web/files]", "File[/etc/web/size]", "Directory[/srv]", "Execute[setup]"),
        "Package[dep]",
    ]
    files = kitchen.resources["File"]
    assert (files["/etc/web/size"].mode, files["/etc/web/size"].content()) == (0o640, "16\n")
    assert kitchen.resources["Execute"]["setup"].command == "echo 1"
    assert files["/etc/web/size"].subscriptions["delayed"] == {("reload", kitchen.resources["Service"]["web"])}
    assert not list((tmp_path / "new").rglob("*.pyc"))
    assert (tmp_path / "new/web/files/a.bin").read_text() == "\x00as it is"


def test_one_cookbook_alone(web, tmp_path):
    assert convert([web / "dep"], tmp_path / "new").cookbooks == ("dep",)


@pytest.mark.parametrize(
    ("path", "text", "line", "words"),
    [
        ("libraries/l.py", "import boto\n", 1, "boto must be installed"),
        ("libraries/l.py", "from kokki.providers.emerge import X\n", 1, "the engine has no kokki.providers.emerge"),
        ("recipes/default.py", "x = 1\ny = x / 2\n", 2, "/ gives a fraction"),
        ("libraries/l.py", "from subprocess import *\nout = Popen(['ls'])\n", 2, "Popen: its output is bytes"),
        ("libraries/l.py", "x = sorted([1], key=lambda a: cmp(a, 1))\n", 1, "cmp() is gone"),
        ("recipes/default.py", "x = file('/x')\n", 1, "file() is gone"),
        ("recipes/default.py", "File('/etc/init/web.conf')\n", 1, "upstart is gone"),
        ("recipes/default.py", "Execute('curl x | apt-key add -')\n", 1, "apt-key is gone"),
        ("recipes/default.py", "x = (\n", 1, "could not be converted and was copied as it is"),
        ("templates/a.j2", "\n{% for a in x.iteritems() %}\n", 2, ".iteritems() is gone from dicts"),
    ],
)
def test_what_still_needs_a_person(old, tmp_path, path, text, line, words):
    done = convert([old("web", **{path: text})], tmp_path / "new")
    (note,) = done.notes
    assert (note.where.split(":")[0], words in note.text) == (f"web/{path}", True), note
    assert note.where.endswith(f":{line}") or "could not" in note.text
    assert f"  {note.where}: {note.text}" in shown(done)


def test_a_file_that_can_not_be_converted_is_there_as_it_was(old, tmp_path):
    convert([old("web", **{"recipes/default.py": "x = (\n"})], tmp_path / "new")
    assert (tmp_path / "new/web/recipes/default.py").read_text() == "x = (\n"


def test_nothing_is_overwritten(web, tmp_path):
    (tmp_path / "new/web").mkdir(parents=True)
    with pytest.raises(UsageError, match="web is there already"):
        convert([web], tmp_path / "new")
    assert [path.name for path in (tmp_path / "new").rglob("*")] == ["web"]


def test_a_folder_without_cookbooks(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no cookbook in this folder"):
        convert([tmp_path / "empty"], tmp_path / "new")


def test_without_the_converter_it_says_how_to_get_it(web, tmp_path, monkeypatch):
    real = importlib.import_module

    def without(name, *more):
        if name.startswith("fissix"):
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(UsageError) as error:
        convert([web], tmp_path / "new")
    assert "pip install 'deploymachine[import]'" in str(error.value)


def test_as_a_module(web, tmp_path, capsys):
    assert main([str(web / "web"), str(web / "dep"), "--into", str(tmp_path / "new")]) == 0
    assert capsys.readouterr().out.startswith("Converted web, dep into ")
    assert main([str(web), "--into", str(tmp_path / "new")]) == 1
    assert capsys.readouterr().err.startswith("error: dep, web are there already")
    done = subprocess.run(
        [sys.executable, "-m", "deploymachine.kokki_import", "--help"], capture_output=True, check=True
    )
    assert b"--into" in done.stdout
