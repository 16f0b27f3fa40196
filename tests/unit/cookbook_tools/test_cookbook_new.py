"""Cookbooks are found, and a new one can be cooked as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from kokki import Kitchen

from deploymachine import cookbooks
from deploymachine.cookbook_test import Case, read_case
from deploymachine.errors import UsageError

BIN = Path(sys.executable).parent
REPOSITORY = Path(__file__).parents[3]


def fab(directory: Path, *words: str) -> tuple[int, str]:
    (directory / "fabfile.py").write_text((REPOSITORY / "fabfile.py").read_text())
    (directory / "fabric.yaml").write_text((REPOSITORY / "fabric.yaml").read_text())
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DEPLOYMACHINE")}
    done = subprocess.run(
        [BIN / "fab", *words], cwd=directory, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_a_new_cookbook_declares_what_its_recipe_says(deployment):
    folder, files = cookbooks.new("shop", deployment)
    assert folder == deployment / "cookbooks" / "shop"
    assert files == ["metadata.py", "recipes/default.py", "templates/shop.conf.j2", "test.yaml"]
    kitchen = Kitchen()
    kitchen.add_cookbook_path(str(folder.parent))
    kitchen.include_recipe("shop")
    kitchen.prerun()
    (file,) = kitchen.resource_list
    with kitchen:
        assert file.content().splitlines()[-1] == "greeting = Hello"
    assert read_case(folder) == Case(recipes=("shop",), attributes={"shop.greeting": "Hello from the test"})


def test_nothing_is_overwritten(deployment):
    cookbooks.new("shop", deployment)
    with pytest.raises(UsageError, match="shop is there already"):
        cookbooks.new("shop", deployment)


@pytest.mark.parametrize("name", ["Shop", "9x", "a-b", "../x", ""])
def test_a_name_that_recipes_could_not_say(deployment, name):
    with pytest.raises(UsageError, match="can't be a cookbook's name"):
        cookbooks.new(name, deployment)
    assert not (deployment / "cookbooks").exists()


def test_it_goes_where_the_deployment_keeps_its_own(deployment):
    (deployment / "kokki-config.yaml").write_text("cookbook_paths: [team, other]\nroles: {}\n")
    assert cookbooks.new("shop", deployment)[0] == deployment / "team" / "shop"


class TestFound:
    def test_ours_and_theirs_which_win(self, deployment):
        (deployment / "kokki-config.yaml").write_text("cookbook_paths:\n  - team\nroles: {}\n")
        cookbooks.new("shop", deployment)
        cookbooks.new("nginx", deployment)
        found = cookbooks.found(cookbooks.user_paths(deployment))
        assert found["shop"] == deployment / "team" / "shop"
        assert found["nginx"] == deployment / "team" / "nginx"
        assert found["base"] == cookbooks.OURS / "base"

    @pytest.mark.parametrize("text", ["cookbook_paths: [", "cookbook_paths: 3", "roles: {}", "cookbook_paths: [ ]"])
    def test_files_that_say_nothing_usable_are_somebody_elses_to_complain_about(self, deployment, text):
        (deployment / "kokki-config.yaml").write_text(text)
        assert cookbooks.user_paths(deployment) == ()

    def test_without_a_deployment(self, tmp_path):
        assert cookbooks.user_paths(tmp_path) == ()

    def test_a_misspelt_one(self):
        with pytest.raises(UsageError) as error:
            cookbooks.cookbook("ngnix", ())
        assert "did you mean 'nginx'?" in str(error.value)
        assert "cookbook_new:ngnix" in str(error.value)


class TestCase:
    @pytest.mark.parametrize("name", sorted(cookbooks.found(())))
    def test_every_cookbook_of_ours_has_one(self, name):
        folder = cookbooks.found(())[name]
        assert (folder / "test.yaml").is_file()
        kitchen = Kitchen()
        kitchen.add_cookbook_path(str(cookbooks.OURS))
        for recipe in read_case(folder).recipes:
            kitchen.cookbook(recipe.partition(".")[0]).get_recipe(recipe.partition(".")[2] or "default")

    def test_without_a_file_it_is_the_default_recipe(self, tmp_path):
        assert read_case(tmp_path / "shop").recipes == ("shop",)

    def test_attributes_alone(self, tmp_path):
        (tmp_path / "test.yaml").write_text("attributes: {a.b: 1}\n")
        assert read_case(tmp_path) == Case(recipes=(tmp_path.name,), attributes={"a.b": 1})

    @pytest.mark.parametrize("text", ["recipes: 3", "recipe: [x]", "a: [", "- x"])
    def test_one_that_can_not_be_read(self, tmp_path, text):
        (tmp_path / "test.yaml").write_text(text)
        with pytest.raises(UsageError, match="can't be read"):
            read_case(tmp_path)


class TestTasks:
    def test_new_by_its_name_and_then_its_test_is_listed(self, deployment):
        code, said = fab(deployment, "cookbook_new:shop")
        assert (code, "cookbook_paths: [cookbooks]" in said, "fab cookbook_test:shop" in said) == (0, True, True)
        (deployment / "kokki-config.yaml").write_text("cookbook_paths: [cookbooks]\nroles: {}\n")
        code, said = fab(deployment, "--list")
        assert (code, "cookbook_test:shop" in said, "cookbook_test:nginx" in said) == (0, True, True)
        assert "cookbook_new:" not in said

    def test_new_with_the_name_as_argument(self, deployment):
        assert fab(deployment, "cookbook_new", "--name", "one")[0] == 0
        assert fab(deployment, "cookbook_new", "two")[0] == 0
        assert (deployment / "cookbooks/one").is_dir()
        assert (deployment / "cookbooks/two").is_dir()

    def test_new_with_a_bad_name(self, deployment):
        code, said = fab(deployment, "cookbook_new:Shop")
        assert (code, said.splitlines()[0]) == (1, "error: 'Shop' can't be a cookbook's name")

    def test_a_test_of_none(self, deployment):
        code, said = fab(deployment, "cookbook_test:ngnix")
        assert (code, "did you mean 'cookbook_test:nginx'?" in said) == (1, True)
        code, said = fab(deployment, "cookbook_test", "ngnix")
        assert (code, said.splitlines()[0]) == (1, "error: There is no cookbook 'ngnix'; did you mean 'nginx'?")

    def test_import_of_several_paths(self, deployment, old):
        old("one", **{"recipes/default.py": "mode = 0755\n"})
        folder = old("two", **{"recipes/default.py": "print 'x'\n"})
        code, said = fab(deployment, "kokki_import", str(folder / "one"), str(folder / "two"), "--into", "ours")
        assert (code, said.splitlines()[0]) == (
            0,
            f"Converted one, two into {deployment}/ours: 4 Python files, 0 others copied.",
        )
        assert (deployment / "ours/one/recipes/default.py").read_text() == "mode = 0o755\n"

    def test_import_of_nothing(self, deployment):
        assert fab(deployment, "kokki_import")[0] != 0
        code, said = fab(deployment, "kokki_import", "nowhere")
        assert (code, said.splitlines()[0]) == (1, "error: There is no such folder")
