"""User and Group against fake useradd and friends: what is asked of them, and when nothing is."""

import pytest

PASSWD = """\
    root:x:0:0:root:/root:/bin/bash
    ann:x:1000:1000:Ann:/home/ann:/bin/bash
"""
GROUP = """\
    root:x:0:
    ann:x:1000:
    adm:x:4:ann
    sudo:x:27:ann,root
"""


@pytest.fixture
def accounts(world):
    world.etc("etc/passwd", PASSWD)
    world.etc("etc/group", GROUP)
    world.etc("etc/shadow", "root:*:1::::::\nann:$6$old:1::::::\n")
    world.etc("etc/gshadow", "adm:!::\n")
    for name in ("useradd", "usermod", "userdel", "groupadd", "groupmod", "groupdel", "gpasswd"):
        world.tool(name, "")
    for name in ("chpasswd", "chgpasswd"):
        world.tool(name, f"cat >> {world.path}/typed\n")
    return world


def calls_of(world, recipe):
    cooked = world.recipe(recipe)
    assert cooked.code == 0, cooked.events
    return world.calls()


class TestUser:
    @pytest.mark.parametrize(
        ("arguments", "call"),
        [
            ("", "useradd -m -s /bin/bash bob"),
            ("system=True, shell='/bin/false', home='/srv/bob'", "useradd -r -M -d /srv/bob -s /bin/false bob"),
            ("uid=2000, gid='adm', comment='B'", "useradd -m -u 2000 -g 4 -c B -s /bin/bash bob"),
            ("groups=['sudo', 'adm']", "useradd -m -s /bin/bash -G adm,sudo bob"),
        ],
    )
    def test_is_made(self, accounts, arguments, call):
        assert calls_of(accounts, f"User('bob', {arguments})") == [call]

    def test_joins_the_group_that_has_its_name(self, accounts):
        accounts.etc("etc/group", GROUP + "    bob:x:3000:\n")
        assert calls_of(accounts, 'User("bob")') == ["useradd -m -g bob -s /bin/bash bob"]

    @pytest.mark.parametrize(
        "arguments",
        ["", "uid=1000", "uid='1000'", "gid='ann'", "groups=['sudo', 'adm']", "comment='Ann'", "home='/home/ann'"],
    )
    def test_that_is_right_is_left_alone(self, accounts, arguments):
        assert calls_of(accounts, f"User('ann', {arguments})") == []

    @pytest.mark.parametrize(
        ("arguments", "call", "change"),
        [
            ("shell='/bin/sh'", "usermod -s /bin/sh ann", "shell /bin/bash -> /bin/sh"),
            ("groups=['adm']", "usermod -G adm ann", "groups adm,sudo -> adm"),
            ("groups='root', append=True", "usermod -G adm,root,sudo ann", "groups adm,sudo -> adm,root,sudo"),
            ("groups=[]", "usermod -G  ann", "groups adm,sudo -> none"),
            ("uid=5", "usermod -u 5 ann", "uid 1000 -> 5"),
        ],
    )
    def test_that_differs_is_changed(self, accounts, arguments, call, change):
        cooked = accounts.recipe(f"User('ann', {arguments})")
        assert (accounts.calls(), cooked.of("resource-done")[0]["changes"]) == ([call], [change])

    def test_a_dry_run_runs_nothing(self, accounts):
        assert accounts.recipe('User("bob", gid="later")', dry_run=True).states == ["would-change"]
        assert accounts.calls() == []

    def test_a_password_is_handed_over_by_stdin(self, accounts):
        cooked = accounts.recipe('User("ann", password=Secret("$6$new-hash"))')
        assert accounts.calls() == ["chpasswd -e"]
        assert (accounts.path / "typed").read_text() == "ann:$6$new-hash\n"
        assert cooked.of("resource-done")[0]["changes"] == ["password set"]
        assert calls_of(accounts, 'User("ann", password="$6$old")') == []

    def test_is_removed_locked_and_unlocked(self, accounts):
        assert calls_of(accounts, 'User("ann", action="remove")') == ["userdel ann"]
        assert calls_of(accounts, 'User("bob", action="remove")') == []
        assert calls_of(accounts, 'User("ann", action="lock")') == ["usermod -L ann"]
        assert calls_of(accounts, 'User("ann", action="unlock")') == []

    def test_modify_and_manage(self, accounts):
        assert calls_of(accounts, 'User("bob", action="manage")') == []
        assert calls_of(accounts, 'User("ann", uid=5, action="manage")') == ["usermod -u 5 ann"]
        cooked = accounts.recipe('User("bob", action="modify")')
        assert cooked.of("resource-done")[0]["error"]["message"] == "There is no user bob to modify"

    def test_a_group_that_is_not_there(self, accounts):
        error = accounts.recipe('User("bob", gid="nosuch")').of("resource-done")[0]["error"]
        assert error["message"] == "There is no group nosuch"
        assert "Group('nosuch')" in error["hint"]


class TestGroup:
    @pytest.mark.parametrize(
        ("arguments", "calls"),
        [
            ("'web'", ["groupadd web"]),
            ("'web', gid=33, system=True", ["groupadd -r -g 33 web"]),
            ("'web', members=['ann']", ["groupadd web", "gpasswd -M ann web"]),
            ("'web', members=[]", ["groupadd web"]),
            ("'adm'", []),
            ("'adm', gid=4, members=['ann']", []),
            ("'adm', gid=5", ["groupmod -g 5 adm"]),
            ("'adm', members=['root']", ["gpasswd -M root adm"]),
            ("'adm', members=['root'], append=True", ["gpasswd -M ann,root adm"]),
            ("'adm', action='remove'", ["groupdel adm"]),
            ("'web', action='remove'", []),
            ("'adm', action='lock'", []),
            ("'adm', action='unlock'", ["chgpasswd -e"]),
        ],
    )
    def test_becomes_what_it_shall_be(self, accounts, arguments, calls):
        assert calls_of(accounts, f"Group({arguments})") == calls

    def test_a_password(self, accounts):
        assert calls_of(accounts, 'Group("adm", password="$6$x")') == ["chgpasswd -e"]
        assert (accounts.path / "typed").read_text() == "adm:$6$x\n"
