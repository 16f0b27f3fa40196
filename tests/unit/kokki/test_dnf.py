"""Package on the redhat family, against a fake dnf and rpm that keep a database."""

import os

import pytest

RPM = 'cat "$ROOT/var/lib/rpm/rows"\n'
DNF = r"""
    rows="$ROOT/var/lib/rpm/rows"
    case " $* " in
    *" repoquery "*)
        test -e "$HERE/down" && { echo "Error: Failed to download metadata"; exit 1; }
        for word in "$@"; do grep "^$word	" "$HERE/repository"; done; exit 0;;
    *" remove "*) : > "$rows";;
    *)
        test -e "$HERE/broken" && { echo "Error: it broke"; exit 1; }
        for word in "$@"; do
            case $word in
            -*|install|upgrade) ;;
            *-[0-9]*) printf '%s\t%s\n' "${word%%-*}" "${word#*-}" >> "$rows";;
            *) sed -i "/^$word	/d" "$rows"; grep "^$word	" "$HERE/repository" >> "$rows";;
            esac
        done;;
    esac
"""


@pytest.fixture
def redhat(world):
    world.etc("etc/os-release", 'ID="rocky"\nID_LIKE="rhel centos fedora"\n')
    world.etc("var/lib/rpm/rows", "bash\t5.1-9.el9\nold\t1.0-1.el9\n")
    (world.path / "repository").write_text("nginx\t1.20-14.el9\nredis\t6.2-7.el9\nold\t2.0-1.el9\n")
    world.tool("rpm", RPM)
    world.tool("dnf", DNF)
    return world


def transactions(world):
    return [call for call in world.calls("dnf") if " repoquery " not in call]


def test_all_come_in_one_transaction(redhat):
    recipe = 'Package("nginx")\nPackage("redis")\nPackage("bash")'
    cooked = redhat.recipe(recipe)
    assert cooked.states == ["changed", "changed", "ok"]
    assert [event["changes"] for event in cooked.of("resource-done")][:2] == [
        ["installed 1.20-14.el9"],
        ["installed 6.2-7.el9"],
    ]
    assert transactions(redhat) == ["dnf -y -q install --setopt=install_weak_deps=False nginx redis"]
    assert redhat.recipe(recipe).totals == {"ok": 3}
    assert redhat.recipe(recipe, dry_run=True).code == 0
    assert transactions(redhat) == []


def test_what_is_there_is_asked_by_one_process(redhat):
    os.utime(redhat.root / "var/lib/rpm/rows", (1, 1))
    redhat.recipe('Package("bash")\nPackage("old")')
    assert len(redhat.calls("rpm")) <= 1
    assert redhat.calls("dnf") == []


@pytest.mark.parametrize("version", ["1.0", "1.0-1.el9", "1.*"])
def test_a_version_that_is_there(redhat, version):
    assert redhat.recipe(f'Package("old", version="{version}")').states == ["ok"]


def test_a_version(redhat):
    assert redhat.recipe('Package("nginx", version="1.20-14.el9")').states == ["changed"]
    assert transactions(redhat)[0].endswith(" nginx-1.20-14.el9")


def test_a_version_the_repositories_do_not_have(redhat):
    cooked = redhat.recipe('Package("nginx", version="3.*")')
    assert cooked.of("resource-done")[0]["error"]["message"] == "nginx would come as 1.20-14.el9, which is not 3.*"


def test_upgrade_and_remove(redhat):
    cooked = redhat.recipe('Package("old", action="upgrade")')
    assert cooked.of("resource-done")[0]["changes"] == ["version 1.0-1.el9 -> 2.0-1.el9"]
    assert redhat.recipe('Package("old", action="upgrade")').states == ["ok"]
    assert redhat.recipe('Package("old", action="purge")').states == ["changed"]
    assert transactions(redhat)[-1] == "dnf -y -q remove --setopt=clean_requirements_on_remove=False old"


def test_a_failed_transaction_carries_its_output(redhat):
    (redhat.path / "broken").touch()
    error = redhat.recipe('Package("nginx")').of("resource-done")[0]["error"]
    assert error["message"] == "dnf could not install nginx: exit code 1"
    assert error["output"] == ["Error: it broke"]


def test_repositories_that_are_unreachable(redhat):
    (redhat.path / "down").touch()
    error = redhat.recipe('Package("nginx")').of("resource-done")[0]["error"]
    assert error["message"].startswith("dnf can't read its repositories")


def test_without_a_database(redhat):
    (redhat.root / "var/lib/rpm/rows").unlink()
    (redhat.root / "var/lib/rpm").rmdir()
    error = redhat.recipe('Package("nginx")').of("resource-done")[0]["error"]
    assert error["message"] == "This server has no rpm database"
