"""The recipe language's contract, rule by rule: each test begins with the rule it holds the engine to."""

import hashlib
import subprocess
import sys
from pathlib import Path

import kokki
import pytest
from kokki import (
    BooleanArgument,
    DownloadSource,
    Environment,
    Fail,
    File,
    ForcedListArgument,
    InvalidArgument,
    Kitchen,
    Resource,
    ResourceArgument,
    StaticFile,
    System,
    Template,
    find_provider,
)

LANGUAGE = "Kitchen Cookbook Environment Resource ResourceArgument ForcedListArgument BooleanArgument Provider"
MORE = "find_provider Fail InvalidArgument System Source Template StaticFile DownloadSource"
NAMES = f"{LANGUAGE} {MORE} File Directory Link Execute Script Mount Package Service User Group"

COMMON = {"ignore_failures": False, "not_if": None, "only_if": None, "notifies": [], "subscribes": [], "provider": None}
ACCOUNTS = "create remove modify manage lock unlock"
COMMANDS = dict.fromkeys(["start_command", "stop_command", "restart_command", "reload_command", "status_command"])
RESOURCES = {
    "File": (
        {"path": "n", **dict.fromkeys(["content", "owner", "group", "mode", "backup"])},
        "create delete touch",
    ),
    "Directory": ({"path": "n", "owner": None, "group": None, "mode": None, "recursive": False}, "create delete"),
    "Link": ({"path": "n", "hard": False}, "create delete"),
    "Execute": (
        {
            "command": "n",
            **dict.fromkeys(["creates", "cwd", "environment", "user", "group", "timeout"]),
            "returns": [0],
        },
        "run",
    ),
    "Script": (
        {"interpreter": "/bin/bash", **dict.fromkeys(["cwd", "environment", "user", "group"])},
        "run",
    ),
    "Mount": (
        {"mount_point": "n", "device": None, "fstype": None, "options": ["defaults"], "dump": 0, "passno": 2},
        "mount umount remount enable disable",
    ),
    "Package": (
        {"package_name": "n", "location": "n", "version": None, "build_vars": []},
        "install upgrade remove purge",
    ),
    "Service": (
        {
            "service_name": "n",
            "enabled": None,
            "running": None,
            "pattern": None,
            **COMMANDS,
            "supports_restart": False,
            "supports_reload": False,
            "supports_status": False,
        },
        "nothing start stop restart reload",
    ),
    "User": (
        {
            "username": "n",
            **dict.fromkeys(["comment", "uid", "gid", "groups", "home", "password"]),
            "shell": "/bin/bash",
            "system": False,
        },
        ACCOUNTS,
    ),
    "Group": ({"group_name": "n", "gid": None, "members": None, "password": None}, ACCOUNTS),
}
REQUIRED = {"Link": {"to": "/x"}, "Script": {"code": "true"}}


@pytest.fixture
def kitchen(world):
    kitchen = Kitchen()
    kitchen.add_cookbook_path(str(world.books))
    with kitchen:
        yield kitchen


class TestNames:
    """`from kokki import *`"""

    def test_all_are_given(self):
        given = {}
        exec("from kokki import *", given)  # noqa: S102 - as a recipe does it
        assert [name for name in NAMES.split() if name not in given] == []


class TestResources:
    """Type(name, **arguments): arguments (default), actions (first is the default)."""

    @pytest.mark.parametrize("name", RESOURCES)
    def test_arguments_and_defaults(self, kitchen, name):
        wanted, _actions = RESOURCES[name]
        resource = getattr(kokki, name)("n", **REQUIRED.get(name, {}))
        found = {key: getattr(resource, key) for key in {**wanted, **COMMON}}
        assert found == {**wanted, **COMMON}

    @pytest.mark.parametrize("name", RESOURCES)
    def test_actions(self, kitchen, name):
        actions = RESOURCES[name][1].split()
        made = getattr(kokki, name)
        assert made("n", **REQUIRED.get(name, {})).action == [actions[0]]
        for number, action in enumerate(actions):
            made(str(number), action=action, **REQUIRED.get(name, {}))
        provider = find_provider(kitchen, name)
        assert [action for action in actions if not hasattr(provider, f"action_{action}")] == []

    @pytest.mark.parametrize(("name", "missing"), [("Link", "to"), ("Script", "code")])
    def test_required(self, kitchen, name, missing):
        with pytest.raises(InvalidArgument, match=rf"{name}\[n\]: required argument {missing} missing"):
            getattr(kokki, name)("n")

    def test_supports_follow_the_commands(self, kitchen):
        service = kokki.Service("s", restart_command="r", reload_command="l", status_command="s")
        assert (service.supports_restart, service.supports_reload, service.supports_status) == (True, True, True)

    def test_an_unknown_argument_or_action_names_resource_argument_and_value(self, kitchen):
        with pytest.raises(Fail, match=r"File\[/x\].* colour='red'"):
            File("/x", colour="red")
        with pytest.raises(InvalidArgument, match=r"File\[/x\]: action 'paint'"):
            File("/x", action="paint")

    def test_notifies_with_two_or_three_elements(self, kitchen):
        service, other = kokki.Service("s"), kokki.Service("o")
        resource = File("/x", notifies=[("restart", service), ("reload", other, True), ("start", other, False)])
        assert resource.subscriptions == {
            "immediate": {("reload", other)},
            "delayed": {("restart", service), ("start", other)},
        }

    def test_subscribes_with_two_or_three_elements(self, kitchen):
        first = File("/x")
        late, now = (
            kokki.Service("s", subscribes=[("restart", first)]),
            kokki.Service("t", subscribes=[("stop", first, True)]),
        )
        first.subscribe("reload", late, True)
        assert first.subscriptions == {"immediate": {("stop", now), ("reload", late)}, "delayed": {("restart", late)}}

    def test_updated_marks_a_change(self, kitchen):
        resource = File("/x")
        assert resource.is_updated is False
        resource.updated()
        assert resource.is_updated is True

    def test_an_arguments_default_may_be_a_callable_of_the_resource(self, kitchen):
        class Site(Resource):
            domain = ResourceArgument(default=lambda obj: f"{obj.name}.example")
            aliases = ForcedListArgument(default="www")
            tls = BooleanArgument(default=True)
            actions = [*Resource.actions, "create"]  # noqa: RUF012 - as cookbooks write it

        site = Site("shop")
        assert (site.domain, site.aliases, site.tls, site.action) == ("shop.example", ["www"], True, ["nothing"])


class TestEnvironment:
    """Environment / Kitchen: a context manager with config, system, resources, …"""

    def test_get_instance_is_the_innermost_entered(self, world):
        outer, inner = Environment(), Kitchen()
        with outer:
            with inner:
                assert Environment.get_instance() is inner
            assert Environment.get_instance() is outer

    def test_resources_and_resource_list(self, kitchen):
        second, first = File("/b"), kokki.Directory("/a")
        assert kitchen.resources["File"]["/b"] is second
        assert kitchen.resource_list == [second, first]

    def test_update_config_starts_with(self, kitchen):
        config = kitchen.config
        assert config.date.strftime("%Y%m%d%H%M%S") == config.kokki.backup.prefix
        assert config.kokki.long_version.startswith("kokki ")
        assert Path(config.kokki.backup.path).is_absolute()

    def test_run_action(self, kitchen, world):
        kitchen.run_action(File(f"{world.out}/x", content="hello", action="nothing"), "create")
        assert (world.out / "x").read_text() == "hello"

    def test_run(self, kitchen, world):
        late = kokki.Execute("late", command=f"echo late >> {world.out}/log", action="nothing")
        File(f"{world.out}/x", content="hello", notifies=[("run", late)])
        kokki.Execute("early", command=f"echo early >> {world.out}/log")
        kitchen.run()
        assert (world.out / "log").read_text() == "early\nlate\n"
        assert not kitchen.delayed_actions

    def test_backup_file(self, kitchen, world):
        (world.out / "x").write_text("old")
        kitchen.backup_file(f"{world.out}/x")
        backup = kitchen.config.kokki.backup
        copy = Path(backup.path, str(world.out / "x").lstrip("/"), backup.prefix)
        assert (copy.read_text(), copy.stat().st_mode & 0o777) == ("old", 0o600)

    def test_no_backup_without_a_path(self, kitchen, world):
        kitchen.update_config({"kokki.backup.path": None})
        kitchen.backup_file(f"{world.out}/not-there")

    def test_system(self, world):
        world.etc("etc/os-release", 'ID=debian\nNAME="Debian GNU/Linux"\nVERSION_ID="13"\nVERSION_CODENAME=trixie\n')
        world.etc("proc/meminfo", "MemTotal:  2048000 kB\n")
        system = Kitchen().system
        assert system is System.get_instance()
        assert (system.os, system.platform) == ("linux", "debian")
        assert set(system.lsb) == {"id", "release", "codename", "description"}
        facts = "arch machine locales ec2 vm hostname fqdn cpus memory_mb interfaces ipv4 virtualization python"
        assert [fact for fact in facts.split() if not hasattr(system, fact)] == []


class TestKitchen:
    """include_recipe(*"book" or "book.recipe"): each once; sourced at once when the kitchen is already running."""

    def test_public_lists(self, kitchen, world):
        world.book("web", default="env.include_recipe('web.tls', 'web')", tls="from kokki import *\nFile('/tls')")
        kitchen.include_recipe("web", "web.tls", "web")
        kitchen.prerun()
        assert kitchen.included_recipes_order == ["web", "web.tls"]
        assert kitchen.included_recipes["web"] == (kitchen.cookbooks.web, "default")
        assert [str(resource) for resource in kitchen.resource_list] == ["File[/tls]"]

    def test_load_cookbook_and_library(self, kitchen, world):
        world.book("one", metadata='__config__ = {"one.x": dict(description="X", display_name="The X", default=1)}')
        world.file("one", "libraries/a.py", "def thing():\n    return 'thing'\n")
        world.book("two")
        kitchen.load_cookbook("one", "two")
        assert (kitchen.config.one.x, kitchen.cookbooks.one.thing()) == (1, "thing")
        assert set(kitchen.cookbooks) == {"one", "two"}

    def test_source_recipe_by_cookbook(self, kitchen, world):
        world.book("one", other="from kokki import *\nFile('/other')")
        kitchen.load_cookbook("one")
        kitchen.source_recipe(kitchen.cookbooks.one, "other")
        assert "/other" in kitchen.resources["File"]

    def test_the_loader_runs_before_each_recipe_that_is_sourced(self, kitchen, world):
        world.book("dep", default="from kokki import *\nFile('/dep')")
        world.book(
            "one",
            metadata="""\
def __loader__(kit):
    kit.include_recipe("dep")
    kit.update_config({"loads": kit.config.get("loads", 0) + 1})
""",
            default="from kokki import *\nFile('/a')",
            other="from kokki import *\nFile('/b')",
        )  # fmt: skip
        kitchen.include_recipe("one", "one.other")
        kitchen.prerun()
        assert kitchen.config.loads == 2
        assert list(kitchen.resources["File"]) == ["/a", "/b", "/dep"]  # as the original: a dependency is sourced after

    def test_a_provider_of_a_cookbook(self, kitchen, world):
        """a resource class there may name a provider class of a cookbook as provider = "*NAME.ProviderClass" """
        world.book("one", default="env.cookbooks.one.Thing('x', action='make')")
        world.file(
            "one",
            "libraries/thing.py",
            """
            from kokki import *

            class Thing(Resource):
                provider = "*one.ThingProvider"
                actions = Resource.actions + ["make"]

            class ThingProvider(Provider):
                def action_make(self):
                    self.log.info("making %s", self.resource)
                    self.resource.env.config.made = self.resource.name
                    self.resource.updated()
            """,
        )
        kitchen.include_recipe("one")
        kitchen.run()
        assert (kitchen.config.made, kitchen.resources["Thing"]["x"].is_updated) == ("x", True)


class TestSources:
    """All are callables that return the content."""

    def test_template_and_static_file(self, kitchen, world):
        world.book("web")
        world.file(
            "web", "templates/a.j2", "{{ env.config.x }} {{ repr('r') }} {{ str(1) }} {{ bool(0) }} {{ own }}\n\n"
        )
        world.file("web", "files/a", "as it is\n\n")
        kitchen.update_config({"x": "<X>"})
        assert Template("web/a.j2", {"own": "&"})() == "<X> 'r' 1 False &\n"
        assert Template("web/a.j2", variables={"own": 1}).get_content() == "<X> 'r' 1 False 1\n"
        assert StaticFile("web/a")() == b"as it is\n\n"

    @pytest.mark.parametrize("kind", ["sha256", "md5"])
    def test_download_is_verified_before_use(self, kitchen, tmp_path, kind):
        """DownloadSource(url, cache=True, md5sum=None): we add sha256, and never use what fails to verify."""
        source = tmp_path / "source"
        source.write_bytes(b"data")
        option = "sha256" if kind == "sha256" else "md5sum"
        right = hashlib.new(kind, b"data", usedforsecurity=False).hexdigest()
        assert DownloadSource(f"file://{source}", **{option: right})() == b"data"
        source.unlink()
        assert DownloadSource(f"file://{source}", **{option: right})() == b"data"  # kept
        with pytest.raises(Fail, match="can't be downloaded"):
            DownloadSource(f"file://{source}", cache=False, **{option: right})()
        source.write_bytes(b"other")
        with pytest.raises(Fail, match=f"its {kind} is"):
            DownloadSource(f"file://{source}", cache=False, **{option: right})()


def test_the_package_is_importable_alone():
    """The engine needs nothing but python3 and Jinja2: not even Jinja2 before a template is rendered."""
    target = Path(kokki.__file__).parents[1]
    code = f"import sys; sys.path[:0] = [{str(target)!r}]; import kokki, kokki.command; print('jinja2' in sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
