"""Root's powers are put aside while a site's files are handled, and given up for good by what is started."""

import os
import pwd
import subprocess

import pytest
from release.account import Account
from release.tools import read_environment, secrets
from release.values import Failure, bind_address


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has powers to put aside")
def test_root_becomes_the_site_and_comes_back():
    nobody = pwd.getpwnam("nobody")
    account = Account.named("nobody")
    with account.acting():
        assert (os.geteuid(), os.getegid(), os.getgroups()) == (nobody.pw_uid, nobody.pw_gid, [])
        with account.lifted():
            assert os.geteuid() == 0
        argv = ["cat", "/proc/self/status"]
        told = subprocess.run(argv, capture_output=True, text=True, check=True, **account.child()).stdout
        lines = dict(line.split(":", 1) for line in told.splitlines())
        assert set(lines["Uid"].split()) == {str(nobody.pw_uid)}
        assert set(lines["Gid"].split()) == {str(nobody.pw_gid)}
        assert lines["Groups"].split() == []
        assert int(lines["CapEff"], 16) == int(lines["CapPrm"], 16) == 0
    assert (os.geteuid(), os.getegid()) == (0, 0)


def test_whoever_it_runs_as_needs_no_powers_for_itself():
    account = Account.named(pwd.getpwuid(os.getuid()).pw_name)
    with account.acting(), account.lifted():
        assert account.child() == {}


def test_an_unknown_user_is_refused():
    with pytest.raises(Failure, match="no user"):
        Account.named("no-such-user")


def test_an_environment_file_is_read_as_a_shell_reads_it(tmp_path):
    path = tmp_path / "env"
    path.write_text(
        "A='it'\\''s $(x)'\n# a comment\nB='two\nlines'\nexport C=plain\nURL='postgres://me:s3cret9@db/x'\n"
    )
    variables = read_environment(path)
    assert variables == {"A": "it's $(x)", "B": "two\nlines", "C": "plain", "URL": "postgres://me:s3cret9@db/x"}
    assert "s3cret9" in secrets(variables)
    assert read_environment(tmp_path / "none") == {}
    path.write_text("A='open")
    with pytest.raises(Failure, match="can't be read"):
        read_environment(path)


def test_a_check_goes_where_it_can_connect_to():
    assert bind_address("10.0.0.1:8000") == ("10.0.0.1", 8000)
    assert bind_address("0.0.0.0:8000") == ("127.0.0.1", 8000)
    assert bind_address("[::]:8000") == ("::1", 8000)
