"""Templates, static files and downloads: what they give, and what they say when they can't."""

import hashlib

import pytest
from kokki import DownloadSource, Fail, Kitchen, StaticFile, Template


@pytest.fixture
def kitchen(world):
    kitchen = Kitchen()
    world.book("web", metadata='__config__ = {"web.port": dict(default=80)}')
    kitchen.add_cookbook_path(str(world.books))
    with kitchen:
        yield kitchen


@pytest.fixture
def template(kitchen, world):
    def make(text, **variables):
        world.file("web", "templates/t.j2", text)
        return Template("web/t.j2", variables)()

    return make


class TestTemplate:
    @pytest.mark.parametrize("text", ["x", "x\n", "x\n\n\n"])
    def test_ends_in_one_newline(self, template, text):
        assert template(text) == "x\n"

    def test_has_env_variables_and_builtins(self, template):
        text = "{{ env.config.web.port }} {{ a }} {{ repr('b') }} {{ str(1) }} {{ bool(0) }}"
        assert template(text, a="<&>") == "80 <&> 'b' 1 False\n"

    def test_includes_others(self, template, world):
        world.file("web", "templates/other.j2", "other")
        assert template("{% include 'web/other.j2' %}!") == "other!\n"

    @pytest.mark.parametrize(
        "text", ["\n\n{{ missing }}", "\n\n{{ env.config.web.prt }}", "\n\n{% for x in missing %}{% endfor %}"]
    )
    def test_a_variable_that_is_not_set_is_an_error_with_its_line(self, template, text):
        with pytest.raises(Fail, match=r"template web/t.j2, line 3: .*(missing|prt)"):
            template(text)

    def test_a_syntax_error_has_its_line(self, template):
        with pytest.raises(Fail, match=r"template web/t.j2, line 2: "):
            template("\n{% if %}")

    def test_an_expression_that_fails(self, template):
        with pytest.raises(Fail, match=r"template web/t.j2, line 1: ZeroDivisionError"):
            template("{{ 1 / 0 }}")

    def test_a_changed_template_is_compiled_again(self, template, world):
        assert template("one") == "one\n"
        with Kitchen() as later:
            later.add_cookbook_path(world.books)
            assert template("two") == "two\n"

    def test_not_there(self, kitchen, world):
        world.file("web", "templates/site.j2", "")
        with pytest.raises(Fail, match=r"web/templates/sit.j2 not found; did you mean 'site.j2'"):
            Template("web/sit.j2")

    def test_no_way_out_of_the_cookbook(self, kitchen):
        with pytest.raises(Fail, match="names no file of a cookbook"):
            Template("web/../metadata.py")

    def test_two_alike_are_equal(self, kitchen, world):
        world.file("web", "templates/t.j2", "")
        assert Template("web/t.j2", {"a": 1}) == Template("web/t.j2", {"a": 1}) != Template("web/t.j2", {"a": 2})


def test_a_static_file_is_given_byte_for_byte(kitchen, world):
    folder = world.books / "web/files"
    folder.mkdir()
    (folder / "x").write_bytes(b"\x00\n\n")
    assert StaticFile("web/x")() == b"\x00\n\n"


class TestDownload:
    def test_is_verified_and_kept(self, kitchen, tmp_path):
        page = tmp_path / "page"
        page.write_bytes(b"content")
        digest = hashlib.sha256(b"content").hexdigest()
        source = DownloadSource(page.as_uri(), sha256=digest)
        assert source() == b"content"
        page.unlink()
        assert source() == b"content"

    def test_what_does_not_verify_is_never_used(self, kitchen, tmp_path):
        page = tmp_path / "page"
        page.write_bytes(b"evil")
        for sums in ({"sha256": "0" * 64}, {"md5sum": "0" * 32}):
            with pytest.raises(Fail, match="is not what it should be"):
                DownloadSource(page.as_uri(), **sums)()

    def test_that_fails(self, kitchen, tmp_path):
        with pytest.raises(Fail, match="can't be downloaded"):
            DownloadSource((tmp_path / "none").as_uri())()
