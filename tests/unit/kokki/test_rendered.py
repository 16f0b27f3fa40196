"""What a server remembers of its templates: it spares Jinja2, and never keeps a file from being what it is to be."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from kokki import DownloadSource, Kitchen, Template, rendered
from kokki.secrets import Secret


@pytest.fixture
def file(world):
    """Bring about a file with a template's text, by a whole run; `done(event)` of it comes back."""

    def bring_about(text, variables="{}", **attributes):
        path = world.out / "file"
        world.book(
            "web", default=f"from kokki import *\nFile({str(path)!r}, content=Template('web/t.j2', {variables}))"
        )
        world.file("web", "templates/t.j2", text)
        cooked = world.cook("web", attributes={"web.port": 80, **attributes})
        assert cooked.code == 0, cooked.events
        return cooked.done[f"File[{path}]"]["state"], path.read_text()

    return bring_about


@pytest.fixture
def never(monkeypatch):
    """Whether nothing is rendered."""

    def render(env, name, variables):
        raise AssertionError(f"{name} was rendered")

    return lambda: monkeypatch.setattr("kokki.templates.render", render)


PLAIN = "{{ env.config.web.port }} {{ env.system.hostname }} {{ names|join(',') }} {{ str(5) }} {{ range(3)|sum }}"


def test_the_same_again_is_not_rendered(file, never):
    assert file(PLAIN, "{'names': ['a', 'b']}")[0] == "changed"
    never()
    assert file(PLAIN, "{'names': ['a', 'b']}")[0] == "ok"


def test_methods_of_plain_data_are_plain(file, never):
    text = "{% for key, value in site.items() %}{{ key.upper() }}={{ value }}{% endfor %}"
    assert file(text, "{'site': {'a': 1}}")[1] == "A=1\n"
    never()
    assert file(text, "{'site': {'a': 1}}")[0] == "ok"


@pytest.mark.parametrize(
    ("text", "variables", "attributes", "wanted"),
    [
        ("{{ env.config.web.port }}!", "{}", {}, "80!\n"),
        ("{{ env.config.web.port }}", "{}", {"web.port": 81}, "81\n"),
        ("{{ env.config.web.port }}", "{}", {"web.port": "80 "}, "80 \n"),
        ("{{ name|default('') }}", "{'name': 'b'}", {}, "b\n"),
        ("{{ name|default('') }}", "{'name': ['b', {'c': None}]}", {}, "['b', {'c': None}]\n"),
    ],
)
def test_what_is_different_is_rendered(file, text, variables, attributes, wanted):
    before = "{{ env.config.web.port }}" if "port" in text else text
    file(before, "{'name': 'a'}")
    state, content = file(text, variables, **attributes)
    assert (state, content) == ("changed", wanted)


def test_the_order_of_a_dict_is_of_the_data(file):
    text = "{{ names|join }}"
    file(text, "{'names': {'a': 1, 'b': 2}}")
    assert file(text, "{'names': {'b': 2, 'a': 1}}") == ("changed", "ba\n")


def test_a_file_that_somebody_edited_is_put_right(file, world):
    file(PLAIN, "{'names': []}")
    (world.out / "file").write_text("mine\n")
    state, content = file(PLAIN, "{'names': []}")
    assert state == "changed"
    assert content.startswith("80 ")


@pytest.mark.parametrize(
    "text",
    [
        "{{ tick() }}",
        "{{ library.tick() }}",
        "{% set ask = library %}{{ ask.tick() }}",
        "{% macro one(ask) %}{{ ask() }}{% endmacro %}{{ one(tick) }}",
        "{{ [tick]|map('string')|list|length }}{{ tick() }}",
    ],
)
def test_what_a_function_says_is_asked_each_time(file, world, text):
    (world.out / "ticks").write_text("")
    variables = (
        f"(lambda count: {{'tick': count, 'library': type('Library', (), {{'tick': staticmethod(count)}})}})"
        f"(lambda: __import__('os').path.getsize({str(world.out / 'ticks')!r}))"
    )
    file(text, variables)
    (world.out / "ticks").write_text("later")
    state, content = file(text, variables)
    assert (state, content.strip().lstrip("1")) == ("changed", "5")


def test_what_it_includes_is_read_each_time(file, world):
    world.file("web", "templates/other.j2", "one")
    file("{% include 'web/other.j2' %}")
    world.file("web", "templates/other.j2", "two")
    assert file("{% include 'web/other.j2' %}") == ("changed", "two\n")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("{{ env.config.web.port }}{{ site.name }}", ["env.config.web.port", "site"]),
        ("{% for x in site %}{{ x.name }}{% endfor %}", ["site", "x"]),
        ("{% set x = 1 %}{{ x }}{{ range(x)|list }}", ["range", "x"]),
        ("{{ env.config.a.items() }}", ["env.config.a"]),
        ("{{ env.cookbooks.web.path }}", None),
        ("{{ describe(env) }}", None),
        ("{% set e = env %}{{ e.log }}", None),
        ("{{ [1, 2]|random }}", None),
        ("{{ lipsum() }}", None),
        ("{% import 'web/other.j2' as other %}", None),
        ("{% include name %}", None),
    ],
)
def test_what_a_template_reads(world, text, read):
    from kokki.templates import reads

    world.book("web")
    world.file("web", "templates/t.j2", text)
    with Kitchen() as kitchen:
        kitchen.add_cookbook_path(str(world.books))
        assert reads(kitchen, "web/t.j2") == read


def test_nothing_but_checksums_is_kept(file, world):
    file("password = {{ password }}", "{'password': 'pass-w0rd'}")
    (kept,) = world.root.rglob("*.made")
    assert "pass-w0rd" not in kept.read_text()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700


def test_a_secret_that_changes_changes_the_file():
    assert rendered._key(["a"], {"a": Secret("one-secret")}) != rendered._key(["a"], {"a": Secret("another-secret")})


@pytest.mark.parametrize("nonsense", ["", "[]", "{", '{"source": 1}', "\x00"])
def test_nonsense_is_as_nothing(file, world, nonsense):
    file(PLAIN, "{'names': []}")
    (kept,) = world.root.rglob("*.made")
    kept.write_text(nonsense)
    assert file(PLAIN, "{'names': [1]}")[0] == "changed"
    assert file(PLAIN, "{'names': [1]}")[0] == "ok"


def test_only_the_newest_are_kept(file, world, monkeypatch):
    monkeypatch.setattr(rendered, "KEPT", 2)
    for number in range(4):
        file("{{ n }}", f"{{'n': {number}}}")
    (kept,) = world.root.rglob("*.made")
    assert kept.read_text().count('": "') == 3  # two, and the template's own


def test_a_download_whose_file_is_there_is_not_fetched(world):
    path = world.out / "file"
    path.write_text("x\n")
    checksum = "73cb3858a687a8494ca3323053016282f3dad39d42cf62ca4e79dda2aac7d9ac"
    content = f"DownloadSource('http://127.0.0.1:9/x', sha256={checksum!r})"
    world.book("web", default=f"from kokki import *\nFile({str(path)!r}, content={content})")
    assert world.cook("web").code == 0


def test_a_run_that_changes_nothing_never_starts_jinja2(world):
    path = world.out / "file"
    world.book("web", default=f"from kokki import *\nFile({str(path)!r}, content=Template('web/t.j2', {{'n': 1}}))")
    world.file("web", "templates/t.j2", "{{ n }} {{ env.config.web.port }}")
    program = (
        "import sys; from kokki.runner import cook\n"
        "code = cook({'host': 'h', 'roles': [], 'recipes': ['web'], 'attributes': {'web.port': 80},"
        f" 'cookbook_paths': [{str(world.books)!r}]}}, lambda event: None)\n"
        "print(code, 'jinja2' in sys.modules)"
    )
    import kokki

    def run() -> str:
        engine = Path(kokki.__file__).parent.parent
        environment = {"KOKKI_ROOT": str(world.root), "PYTHONPATH": str(engine), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False
        )
        return done.stdout + done.stderr

    assert run() == "0 True\n"
    assert run() == "0 False\n"


def test_what_is_not_known_is_not_told(world):
    world.book("web")
    world.file("web", "templates/t.j2", "x")
    with Kitchen() as kitchen:
        kitchen.add_cookbook_path(str(world.books))
        assert DownloadSource("http://127.0.0.1:9/x").get_checksum() is None
        assert Template("web/t.j2").get_checksum() is None  # nothing is kept where this is no server's own run
