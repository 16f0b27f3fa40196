"""Cookbooks of Kokki 0.4: where they import from, and the providers of their own that they build on ours."""

import pytest


class TestImports:
    @pytest.mark.parametrize(
        "line",
        [
            "from kokki.base import Fail, Resource, ResourceArgument, ForcedListArgument, BooleanArgument",
            "from kokki.base import *; Resource, ResourceArgument",
            "from kokki.environment import Environment",
            "from kokki.exceptions import Fail, InvalidArgument",
            "from kokki.kitchen import Kitchen, Cookbook",
            "from kokki.providers import Provider, find_provider",
            "from kokki.providers.accounts import UserProvider, GroupProvider",
            "from kokki.providers.mount import MountProvider",
            "from kokki.providers.package import PackageProvider",
            "from kokki.providers.package.apt import DebianAptProvider",
            "from kokki.providers.service import ServiceProvider",
            "from kokki.providers.service.debian import DebianServiceProvider",
            "from kokki.providers.system import FileProvider, DirectoryProvider, LinkProvider, ExecuteProvider",
            "from kokki.resources import *; File, Package, Service, User",
            "from kokki.source import Source, Template, StaticFile",
            "from kokki.system import System",
            "from kokki.utils import AttributeDictionary",
        ],
    )
    def test_where_older_cookbooks_look_for_them(self, line):
        exec(line, {})  # noqa: S102 - as a cookbook does it

    def test_a_name_that_is_no_resource(self):
        with pytest.raises(ImportError):
            exec("from kokki.resources import Nothing", {})  # noqa: S102


class TestProvidersOfOlderCookbooks:
    def test_a_service_of_their_own(self, world):
        world.file(
            "app",
            "libraries/monit.py",
            """
            import subprocess
            from kokki import *
            from kokki.providers.service import ServiceProvider

            class Watched(Service):
                provider = "*app.WatchedProvider"

            class WatchedProvider(ServiceProvider):
                def status(self):
                    return self._init_cmd("status") == 0

                def _init_cmd(self, command, expect=None):
                    code = subprocess.call(["watch", command, self.resource.service_name])
                    if expect is not None and expect != code:
                        raise Fail("%r command %s failed" % (self, command))
                    return code
            """,
        )
        world.tool("watch", 'case $1 in status) [ -e "$HERE/up" ];; start) touch "$HERE/up";; esac')
        recipe = 'W = env.cookbooks.app.Watched("web", action="start")\nFile(OUT + "/x", notifies=[("restart", W)])'
        assert world.recipe(recipe).states == ["changed", "changed", "changed"]
        assert world.calls() == ["watch status web", "watch start web", "watch status web", "watch restart web"]
        assert world.recipe(recipe).states == ["ok", "ok"]
        assert world.recipe(recipe, dry_run=True).states[0] == "unknown"

    def test_the_commands_of_a_service(self, world):
        world.file("app", "libraries/l.py", "from kokki.providers.service import ServiceProvider as Old\n")
        world.tool("ctl", '[ "$1" != status ]')
        cooked = world.recipe("""
            Service("web", action=["start", "reload"], provider="*app.Old",
                status_command="ctl status", start_command="ctl start", stop_command=lambda: True)
        """)  # fmt: skip
        assert cooked.states == ["changed"]
        assert world.calls() == ["ctl status", "ctl start", "ctl status", "ctl start"]

    def test_packages_of_another_kind(self, world):
        world.file(
            "app",
            "libraries/gems.py",
            """
            from kokki import *
            from kokki.providers.package import PackageProvider

            class GemProvider(PackageProvider):
                gems = {"old": "1"}

                def get_current_status(self):
                    self.current_version = self.gems.get(self.resource.package_name)

                @property
                def candidate_version(self):
                    return "2"

                def install_package(self, name, version):
                    self.gems[name] = version

                def remove_package(self, name, version):
                    del self.gems[name]
            """,
        )
        cooked = world.recipe("""
            P = "*app.GemProvider"
            Package("old", provider=P)
            Package("new", provider=P)
            Package("pinned", version="1.5", provider=P)
            Package("more", package_name="old", action="upgrade", provider=P)
            Package("gone", package_name="new", action="remove", provider=P)
            Package("purged", package_name="new", action="purge", provider=P)
        """)  # fmt: skip
        assert cooked.states == ["ok", "changed", "changed", "changed", "changed", "ok"]
        assert [event["changes"] for event in cooked.of("resource-done")][1:4] == [
            ["version none -> 2"],
            ["version none -> 1.5"],
            ["version 1 -> 2"],
        ]
