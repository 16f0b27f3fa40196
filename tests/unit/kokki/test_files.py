"""File, Directory and Link over a real file system: made, changed, left alone, never half-way."""

import os
import resource
import stat
from pathlib import Path

import pytest
from kokki import Kitchen


def mode(path):
    return stat.S_IMODE(path.lstat().st_mode)


def thrice(world, recipe):
    """Dry run (must write nothing), run, run again (must change nothing), dry run (must want nothing)."""
    before = sorted(world.out.rglob("*"))
    dry = world.recipe(recipe, dry_run=True)
    assert sorted(world.out.rglob("*")) == before
    first = world.recipe(recipe)
    assert (dry.code, first.code) == (2, 0), (dry.events, first.events)
    assert set(world.recipe(recipe).states) == {"ok"}
    assert world.recipe(recipe, dry_run=True).code == 0
    assert [event["changes"] for event in dry.of("resource-done")] == [
        event["changes"] for event in first.of("resource-done")
    ]
    return first


class TestFile:
    def test_is_made(self, world):
        first = thrice(world, 'File(OUT + "/a", content="one\\n", mode=0o640)')
        assert (world.out / "a").read_text() == "one\n"
        assert mode(world.out / "a") == 0o640
        assert first.events[2]["changes"] == ["created (4 bytes)", "mode 0640"]
        assert "+one" in first.events[2]["diff"]

    def test_says_what_differs(self, world):
        (world.out / "a").write_text("old\nsame\n")
        (world.out / "a").chmod(0o600)
        first = thrice(world, 'File(OUT + "/a", content="new\\nsame\\n", mode="0644")')
        event = first.of("resource-done")[0]
        assert event["changes"] == ["content 9 -> 9 bytes", "mode 0600 -> 0644"]
        assert event["diff"].splitlines()[3:] == ["-old", "+new", " same"]

    def test_keeps_the_mode_that_nobody_asked_to_change(self, world):
        (world.out / "a").write_text("x")
        (world.out / "a").chmod(0o604)
        world.recipe('File(OUT + "/a", content="y")')
        assert (mode(world.out / "a"), (world.out / "a").read_text()) == (0o604, "y")

    def test_keeps_extended_attributes(self, world):
        (world.out / "a").write_text("x")
        try:
            os.setxattr(world.out / "a", "user.note", b"kept")
        except OSError:
            pytest.skip("this file system has no extended attributes")
        world.recipe('File(OUT + "/a", content="y")')
        assert os.getxattr(world.out / "a", "user.note") == b"kept"

    def test_only_the_mode_changes(self, world):
        (world.out / "a").write_text("x")
        inode = (world.out / "a").stat().st_ino
        world.recipe('File(OUT + "/a", mode=0o600)')
        assert (mode(world.out / "a"), (world.out / "a").stat().st_ino) == (0o600, inode)

    def test_without_content_it_is_there(self, world):
        thrice(world, 'File(OUT + "/a")')
        assert (world.out / "a").read_text() == ""

    @pytest.mark.parametrize("content", ['b"\\x00\\xff"', 'lambda: b"\\x00\\xff"'])
    def test_bytes_and_callables(self, world, content):
        thrice(world, f'File(OUT + "/a", content={content})')
        assert (world.out / "a").read_bytes() == b"\x00\xff"

    def test_content_of_another_kind(self, world):
        cooked = world.recipe('File(OUT + "/a", content=5)')
        assert "content is int" in cooked.of("resource-done")[0]["error"]["message"]

    def test_owner_and_group_by_name(self, world):
        thrice(world, 'File(OUT + "/a", owner="me", group="mine")')

    def test_an_owner_nobody_knows(self, world):
        cooked = world.recipe('File(OUT + "/a", owner="nobodyatall")')
        assert cooked.code == 1
        assert cooked.of("resource-done")[0]["error"]["message"] == "There is no user nobodyatall"
        assert world.recipe('File(OUT + "/a", owner="nobodyatall")', dry_run=True).code == 2

    def test_delete_and_touch(self, world):
        (world.out / "a").write_text("x")
        thrice(world, 'File(OUT + "/a", action="delete")')
        assert not (world.out / "a").exists()
        thrice(world, 'File(OUT + "/b", action="touch")')
        assert (world.out / "b").exists()

    def test_a_directory_in_its_place(self, world):
        (world.out / "a").mkdir()
        cooked = world.recipe('File(OUT + "/a", content="x")')
        assert "no regular file" in cooked.of("resource-done")[0]["error"]["message"]

    def test_no_directory_to_write_in(self, world):
        cooked = world.recipe('File(OUT + "/no/a", content="x")')
        assert "There is no directory" in cooked.of("resource-done")[0]["error"]["message"]

    def test_leaves_nothing_behind(self, world):
        world.recipe('File(OUT + "/a", content="x")')
        world.recipe('File(OUT + "/a", content="y", validate="false %s")')
        assert [path.name for path in world.out.iterdir()] == ["a"]

    def test_what_a_killed_run_left_is_no_hindrance(self, world):
        (world.out / ".a.kokki").write_text("half")
        world.recipe('File(OUT + "/a", content="x")')
        assert [path.name for path in world.out.iterdir()] == ["a"]

    def test_a_full_disk_leaves_the_old_file(self, world):
        (world.out / "a").write_text("old")
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        recipe = 'File(OUT + "/a", content="x" * 100000, backup=False)'
        world.recipe(recipe, dry_run=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50000, limits[1]))
        try:
            cooked = world.cook("app")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert (cooked.code, (world.out / "a").read_text()) == (1, "old")
        assert cooked.of("resource-done")[0]["error"]["message"] == "File too large"
        assert [path.name for path in world.out.iterdir()] == ["a"]

    def test_through_a_link_of_our_own(self, world):
        (world.out / "real").write_text("x")
        (world.out / "a").symlink_to("real")
        world.recipe('File(OUT + "/a", content="y")')
        assert (world.out / "a").is_symlink()
        assert (world.out / "real").read_text() == "y"

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a link that is somebody else's")
    def test_not_through_a_link_of_somebody_else(self, world):
        (world.path / "shadow").write_text("theirs")
        (world.out / "a").symlink_to(world.path / "shadow")
        os.lchown(world.out / "a", 12345, 12345)
        world.recipe('File(OUT + "/a", content="y")')
        assert (world.path / "shadow").read_text() == "theirs"
        assert not (world.out / "a").is_symlink()


class TestValidate:
    def test_a_file_that_fails_its_check_never_lands(self, world):
        (world.out / "a").write_text("good\n")
        cooked = world.recipe('File(OUT + "/a", content="bad\\n", validate="echo no good; grep -q good %s")')
        error = cooked.of("resource-done")[0]["error"]
        assert (cooked.code, (world.out / "a").read_text()) == (1, "good\n")
        assert (error["exit_code"], error["output"]) == (1, ["no good"])
        assert "does not pass its check" in error["message"]

    def test_a_good_one_lands(self, world):
        thrice(world, 'File(OUT + "/a", content="good\\n", validate="grep -q good %s")')

    def test_the_check_sees_the_final_mode(self, world):
        assert (
            world.recipe('File(OUT + "/a", content="x", mode=0o440, validate="test $(stat -c %%a %s) = 440")').code == 1
        )
        assert (
            world.recipe("File(OUT + '/a', content='x', mode=0o440, validate='ls -l %s | grep -q ^-r--r-----')").code
            == 0
        )


class TestBackup:
    def kept(self, world):
        folder = world.root / "var/lib/deploymachine/kokki/backup" / str(world.out / "a").lstrip("/")
        return sorted(folder.iterdir()) if folder.exists() else []

    def test_what_is_replaced_or_deleted_is_kept_for_root_alone(self, world):
        (world.out / "a").write_text("old")
        world.recipe('File(OUT + "/a", content="new")')
        (copy,) = self.kept(world)
        assert (copy.read_text(), mode(copy), mode(copy.parent)) == ("old", 0o600, 0o700)

    def test_not_when_nothing_is_replaced_or_it_is_not_wanted(self, world):
        world.recipe('File(OUT + "/a", content="1", backup=False)')
        world.recipe('File(OUT + "/a", content="2", backup=False)')
        assert self.kept(world) == []

    def test_only_the_newest_are_kept(self, world):
        for number in range(5):
            kitchen = Kitchen()
            kitchen.update_config({"kokki.backup.keep": 3, "kokki.backup.prefix": f"2026010100000{number}"})
            (world.out / "a").write_text(str(number))
            kitchen.backup_file(str(world.out / "a"))
        assert [path.read_text() for path in self.kept(world)] == ["2", "3", "4"]


class TestDirectory:
    def test_is_made_with_its_mode(self, world):
        first = thrice(world, 'Directory(OUT + "/d", mode=0o2750)')
        assert mode(world.out / "d") == 0o2750
        assert first.of("resource-done")[0]["changes"] == ["created", "mode 2750"]

    def test_parents_only_if_recursive(self, world):
        assert world.recipe('Directory(OUT + "/a/b")').code == 1
        thrice(world, 'Directory(OUT + "/a/b", recursive=True)')

    def test_is_deleted_with_what_is_in_it_only_if_recursive(self, world):
        (world.out / "d/e").mkdir(parents=True)
        assert world.recipe('Directory(OUT + "/d", action="delete")').code == 1
        thrice(world, 'Directory(OUT + "/d", action="delete", recursive=True)')

    def test_a_file_in_its_place(self, world):
        (world.out / "d").write_text("")
        assert "is no directory" in world.recipe('Directory(OUT + "/d")').of("resource-done")[0]["error"]["message"]


class TestLink:
    def test_is_made_and_moved(self, world):
        thrice(world, 'Link(OUT + "/l", to="/etc")')
        first = thrice(world, 'Link(OUT + "/l", to="/usr")')
        assert first.of("resource-done")[0]["changes"] == ["to /etc -> /usr"]
        assert (world.out / "l").readlink() == Path("/usr")

    def test_hard(self, world):
        (world.out / "a").write_text("x")
        thrice(world, 'Link(OUT + "/l", to=OUT + "/a", hard=True)')
        assert (world.out / "l").samefile(world.out / "a")

    def test_is_deleted(self, world):
        (world.out / "l").symlink_to("/nowhere")
        thrice(world, 'Link(OUT + "/l", to="/x", action="delete")')

    def test_never_replaces_a_file(self, world):
        (world.out / "l").write_text("precious")
        assert world.recipe('Link(OUT + "/l", to="/etc")').code == 1
        assert (world.out / "l").read_text() == "precious"
