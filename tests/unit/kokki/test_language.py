"""What recipes and cookbooks may say, and what they are told when they say it wrong."""

import pytest
from kokki import (
    BooleanArgument,
    Environment,
    Execute,
    Fail,
    File,
    ForcedListArgument,
    InvalidArgument,
    Kitchen,
    Link,
    Package,
    Provider,
    Resource,
    ResourceArgument,
    Service,
    User,
    find_provider,
)


@pytest.fixture
def kitchen(world):
    kitchen = Kitchen()
    kitchen.add_cookbook_path(str(world.books))
    with kitchen:
        yield kitchen


class TestConfig:
    def test_is_read_by_attribute_item_and_get(self, kitchen):
        kitchen.update_config({"nginx.user": "www", "nginx.limits.files": 5})
        assert kitchen.config.nginx.user == kitchen.config["nginx"]["user"] == "www"
        assert kitchen.config.nginx.limits.files == 5
        assert "user" in kitchen.config.nginx
        assert kitchen.config.nginx.get("missing", 1) == 1
        assert dict(kitchen.config.nginx.items())["user"] == "www"

    def test_an_unset_name_is_named_with_its_path_and_a_suggestion(self, kitchen):
        kitchen.update_config({"nginx.user": "www"})
        with pytest.raises(AttributeError, match=r"^nginx\.usr is not set; did you mean 'user'\?$"):
            kitchen.config.nginx.usr  # noqa: B018

    def test_overwrite_false_keeps_what_is_set(self, kitchen):
        kitchen.update_config({"a.b": 1})
        kitchen.update_config({"a.b": 2, "a.c": 3}, overwrite=False)
        assert dict(kitchen.config.a) == {"b": 1, "c": 3}

    def test_dicts_within_are_attributes_too(self, kitchen):
        kitchen.update_config({"a": {"b": {"c": 1}}})
        kitchen.config.a.d = {"e": 2}
        assert (kitchen.config.a.b.c, kitchen.config.a.d.e) == (1, 2)

    def test_starts_with_date_version_and_backup(self, kitchen):
        assert kitchen.config.date.year >= 2024
        assert kitchen.config.kokki.long_version
        assert kitchen.config.kokki.backup.path
        assert kitchen.config.kokki.backup.prefix.isdigit()


class TestArguments:
    def test_defaults_and_callable_defaults(self, kitchen):
        resource = File("/x")
        assert (resource.path, resource.action, resource.mode, resource.arguments) == ("/x", ["create"], None, {})

    def test_contract_defaults(self, kitchen):
        assert User("u").shell == "/bin/bash"
        assert Execute("ls").command == "ls"
        assert Execute("ls").returns == [0]
        assert Execute("ls", returns=[0]).returns == [0]
        assert Package("p").location == "p"
        assert Service("s").action == ["nothing"]
        assert Service("t", restart_command="x").supports_restart is True

    def test_a_single_action_is_a_list(self, kitchen):
        assert File("/x", action="delete").action == ["delete"]
        assert Service("s", action=["enable", "start"]).action == ["enable", "start"]

    def test_unknown_argument(self, kitchen):
        with pytest.raises(
            Fail, match=r"File\[/x\] received unsupported argument ovner='root'; did you mean 'owner'\?"
        ):
            File("/x", ovner="root")

    def test_unknown_action(self, kitchen):
        with pytest.raises(InvalidArgument, match=r"File\[/x\]: action 'crate' is none of .*did you mean 'create'"):
            File("/x", action="crate")

    def test_a_resource_that_was_refused_is_not_declared(self, kitchen):
        with pytest.raises(Fail):
            File("/x", ovner="root")
        assert kitchen.resource_list == []
        assert File("/x").path == "/x"

    def test_missing_required_argument(self, kitchen):
        with pytest.raises(InvalidArgument, match=r"Link\[/l\]: required argument to missing"):
            Link("/l")

    def test_not_a_boolean(self, kitchen):
        with pytest.raises(InvalidArgument, match=r"Link\[/l\]: Expected a boolean for hard, received 'yes'"):
            Link("/l", to="/x", hard="yes")

    @pytest.mark.parametrize("mode", [0o644, "0644", "644"])
    def test_modes(self, kitchen, mode):
        assert File("/x", mode=mode).mode == 0o644

    @pytest.mark.parametrize("mode", [644, "rw", 0o77777, 755])
    def test_a_mode_that_nobody_means(self, kitchen, mode):
        with pytest.raises(InvalidArgument, match=r"File\[/x\]"):
            File("/x", mode=mode)

    def test_outside_of_a_kitchen(self, world):
        with pytest.raises(Fail, match="within `with Kitchen"):
            File("/x")

    def test_env_argument(self, world):
        kitchen = Kitchen()
        assert File("/x", env=kitchen) is kitchen.resources["File"]["/x"]


class TestTwice:
    def test_gives_the_first_one(self, kitchen):
        assert File("/x", mode=0o600) is File("/x", mode=0o600) is File("/x")
        assert len(kitchen.resource_list) == 1

    def test_the_same_in_other_words(self, kitchen):
        assert Package("git") is Package("git", action="install")

    def test_other_arguments(self, kitchen):
        File("/x", mode=0o600)
        with pytest.raises(Fail, match=r"File\[/x\] is declared again with another mode"):
            File("/x", mode=0o644)

    def test_an_argument_that_allows_it(self, kitchen):
        class Thing(Resource):
            size = ResourceArgument(default=1, allow_override=True)

        Thing("t")
        Thing("t", size=2)
        assert kitchen.resources["Thing"]["t"].size == 2

    def test_another_provider(self, kitchen):
        File("/x")
        with pytest.raises(Fail, match="different providers"):
            File("/x", provider="*book.Thing")

    def test_what_old_cookbooks_import(self):
        from kokki import environment, exceptions
        from kokki.providers.service import ServiceProvider
        from kokki.utils import AttributeDictionary

        assert (environment.Environment, exceptions.Fail) == (Environment, Fail)
        assert issubclass(ServiceProvider, Provider)
        assert AttributeDictionary({"a": {"b": 1}}).a.b == 1

    def test_two_for_one_path(self, kitchen):
        File("/etc/x")
        with pytest.raises(Fail, match=r"Link\[other\] and File\[/etc/x\].* both want to write /etc/x"):
            Link("other", path="/etc//x", to="/y")

    def test_deleting_what_another_type_was_is_no_fight(self, kitchen):
        File("/etc/x", action="delete")
        Link("/etc/x", to="/y")


class TestSubscriptions:
    def test_notifies_and_subscribes(self, kitchen):
        service = Service("nginx")
        conf = File("/c", notifies=[("reload", service), ("restart", service, True)])
        Execute("late", action="nothing", subscribes=[("run", conf)])
        late = kitchen.resources["Execute"]["late"]
        assert conf.subscriptions == {
            "delayed": {("reload", service), ("run", late)},
            "immediate": {("restart", service)},
        }

    def test_an_action_the_target_does_not_have(self, kitchen):
        with pytest.raises(InvalidArgument, match=r"Service\[nginx\]: action 'relaod'.*'reload'"):
            File("/c", notifies=[("relaod", Service("nginx"))])

    def test_a_target_that_is_no_resource(self, kitchen):
        with pytest.raises(InvalidArgument, match="is no resource that could be notified"):
            File("/c", notifies=[("reload", "nginx")])


class TestOwnResources:
    def test_arguments_are_inherited_and_lists_forced(self, kitchen):
        class Base(Resource):
            names = ForcedListArgument(default="a")

        class More(Base):
            on = BooleanArgument(default=True)

        more = More("m", names="b")
        assert (more.names, more.on, more.action) == (["b"], True, ["nothing"])
        assert type(more).names.default == ["a"]

    def test_any_action_when_the_class_says_none(self, kitchen):
        class Free(Resource):
            action = ForcedListArgument(default="go")

        assert Free("x").action == ["go"]

    def test_validate_is_called(self, kitchen):
        class Checked(Resource):
            a = ResourceArgument()
            b = ResourceArgument()

            def validate(self):
                if self.a == self.b:
                    raise Fail("a and b are the same")

        with pytest.raises(Fail, match="the same"):
            Checked("x", a=1, b=1)

    def test_provider_by_class_cookbook_and_path(self, kitchen, world):
        class Mine(Provider):
            pass

        world.book("tools")
        world.file("tools", "libraries/p.py", "from kokki import Provider\nclass Theirs(Provider): pass\n")
        assert find_provider(kitchen, "File", Mine) is Mine
        assert find_provider(kitchen, "File", "*tools.Theirs").__name__ == "Theirs"
        assert find_provider(kitchen, "File", "kokki.resources.files.LinkProvider").__name__ == "LinkProvider"
        assert find_provider(kitchen, "File").__name__ == "FileProvider"
        with pytest.raises(Fail, match=r"Unable to find provider for File as no\.such\.Thing"):
            find_provider(kitchen, "File", "no.such.Thing")
        with pytest.raises(Fail, match=r"no provider for Fiel; did you mean 'File'"):
            find_provider(kitchen, "Fiel")


class TestCookbooks:
    def test_defaults_never_overwrite(self, kitchen, world):
        world.book("web", metadata='__config__ = {"web.a": dict(default=1), "web.b": {"default": 2}}')
        kitchen.update_config({"web.a": 9})
        kitchen.load_cookbook("web")
        assert dict(kitchen.config.web) == {"a": 9, "b": 2}

    def test_metadata_sees_the_system(self, kitchen, world):
        world.book("web", metadata='__config__ = {"web.os": dict(default=system.os)}')
        kitchen.load_cookbook("web")
        assert kitchen.config.web.os == kitchen.system.os

    def test_prerun_declares_in_order_and_runs_nothing(self, kitchen, world):
        world.book("a", default='from kokki import *\nFile("/1")\nenv.include_recipe("b.x")\nFile("/2")\n')
        world.book("b", x='from kokki import *\nFile("/3")\n')
        kitchen.include_recipe("a")
        kitchen.prerun()
        assert [resource.name for resource in kitchen.resource_list] == ["/1", "/2", "/3"]
        assert kitchen.included_recipes_order == ["a", "b.x"]

    def test_a_run_sources_an_included_recipe_on_the_spot(self, kitchen, world):
        world.book("a", default='from kokki import *\nDirectory("/")\nenv.include_recipe("b.x")\nDirectory("/usr")\n')
        world.book("b", x='from kokki import *\nDirectory("/etc")\n')
        kitchen.include_recipe("a")
        kitchen.run()
        assert [resource.name for resource in kitchen.resource_list] == ["/", "/etc", "/usr"]

    def test_a_recipe_is_sourced_once(self, kitchen, world):
        world.book("a", default='env.config["n"] = env.config.get("n", 0) + 1')
        kitchen.include_recipe("a", "a.default", "a")
        kitchen.prerun()
        assert kitchen.config.n == 1

    def test_the_loader_runs_before_a_recipe_and_brings_dependencies(self, kitchen, world):
        world.book(
            "a", metadata='def __loader__(kit):\n    kit.include_recipe("b")', default='env.config["a"] = env.config.b'
        )
        world.book("b", default='env.config["b"] = 7')
        kitchen.include_recipe("a")
        kitchen.declare()
        assert kitchen.config.a == 7

    def test_libraries_are_one_namespace_in_name_order(self, kitchen, world):
        world.book("a", default="env.config['x'] = env.cookbooks.a.both()")
        world.file("a", "libraries/1.py", "one = 1\n")
        world.file("a", "libraries/2.py", "two = one + 1\ndef both():\n    return one, two\n")
        kitchen.include_recipe("a")
        kitchen.prerun()
        assert kitchen.config.x == (1, 2)

    def test_the_first_path_wins(self, kitchen, world, tmp_path):
        world.book("a", metadata="here = 1")
        (tmp_path / "more/a").mkdir(parents=True)
        (tmp_path / "more/a/metadata.py").write_text("here = 2")
        kitchen.add_cookbook_path(str(tmp_path / "more"))
        kitchen.load_cookbook("a")
        assert kitchen.cookbooks.a.meta["here"] == 1

    def test_a_path_may_be_a_package(self, kitchen):
        kitchen.add_cookbook_path("kokki.resources")
        assert kitchen.cookbook_paths[-1].endswith("kokki/resources")

    @pytest.mark.parametrize(
        ("name", "words"),
        [
            ("ngnix", "Cookbook ngnix not found; did you mean 'nginx'"),
            ("nginx.defualt", "Recipe defualt in cookbook nginx not found; did you mean 'default'"),
        ],
    )
    def test_a_misspelt_name_is_answered_with_a_suggestion(self, kitchen, world, name, words):
        world.book("nginx", default="")

        def sourced():
            kitchen.include_recipe(name)
            kitchen.prerun()

        with pytest.raises(Fail, match=words):
            sourced()

    def test_a_misspelt_thing_of_a_library(self, kitchen, world):
        world.book("nginx")
        world.file("nginx", "libraries/a.py", "site = 1\n")
        with pytest.raises(AttributeError, match="library of cookbook nginx has no sites; did you mean 'site'"):
            kitchen.cookbook("nginx").sites  # noqa: B018

    def test_the_line_of_each_resource_is_known(self, kitchen, world):
        world.book("a", default='from kokki import *\n\nFile("/1")\nenv.cookbooks.a.make("/2")\n')
        world.file("a", "libraries/l.py", "from kokki import *\ndef make(name):\n    return File(name)\n")
        kitchen.include_recipe("a")
        kitchen.prerun()
        assert [resource.source for resource in kitchen.resource_list] == [
            "a/recipes/default.py:3",
            "a/recipes/default.py:4",
        ]


def test_the_innermost_same_environmentis_the_instance(world):
    outer, inner = Environment(), Kitchen()
    with outer:
        with inner:
            assert Environment.get_instance() is inner
        assert Kitchen.get_instance() is outer
