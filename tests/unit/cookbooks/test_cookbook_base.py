"""The way into a server: what sshd and nftables are told, tried by themselves where they are installed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from kokki import Fail

SSHD = "/etc/ssh/sshd_config.d/10-deploymachine.conf"
KEYS = ["ssh-ed25519 AAAA ada", "ssh-ed25519 BBBB bob\n"]


def lines(text):
    return [line.strip() for line in text.splitlines()]


@pytest.fixture
def base(declare):
    def declared(recipe="base.access", **attributes):
        given = {"admin_keys": KEYS, "ssh_port": 49022, **attributes}
        return declare(recipe, **{f"base.{key}": value for key, value in given.items()})

    return declared


def test_both_ways_in_are_open_while_a_server_is_provisioned(base, content):
    kitchen = base(root_login=True)
    told = lines(content(kitchen, SSHD))
    assert {"Port 49022", "Port 22", "AllowUsers deploy root", "PermitRootLogin prohibit-password"} <= set(told)
    assert any(line.startswith("tcp dport 22 accept") for line in lines(content(kitchen, "/etc/nftables.conf")))


def test_only_the_new_way_in_is_open_afterwards(base, content):
    kitchen = base()
    told = lines(content(kitchen, SSHD))
    assert {"Port 49022", "AllowUsers deploy", "PermitRootLogin no", "AuthenticationMethods publickey"} <= set(told)
    assert "Port 22" not in told
    assert not any(line.startswith("tcp dport 22 ") for line in lines(content(kitchen, "/etc/nftables.conf")))


def test_port_22_is_named_once_when_it_is_the_port(base, content):
    kitchen = base(root_login=True, ssh_port=22)
    assert lines(content(kitchen, SSHD)).count("Port 22") == 1
    assert content(kitchen, "/etc/nftables.conf").count("dport 22 ") == 1


def test_sshd_and_firewall_files_are_tried_before_they_land(base):
    files = base().resources["File"]
    assert "sshd -t -f" in files[SSHD].arguments["validate"]
    assert "nft -c -f" in files["/etc/nftables.conf"].arguments["validate"]


def test_sshd_takes_its_file(base, content, run, tmp_path):
    key = tmp_path / "key"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    for root_login in (True, False):
        path = tmp_path / "sshd.conf"
        path.write_text(content(base(root_login=root_login), SSHD))
        told = run("sshd", "-T", "-f", path, "-h", key).lower()
        assert f"permitrootlogin {'without-password' if root_login else 'no'}" in told
        assert "curve25519-sha256" in told
        assert "ecdh-sha2-nistp256" not in told
        assert "ecdsa" not in next(line for line in told.splitlines() if line.startswith("hostkeyalgorithms"))


def test_nftables_takes_its_file(base, content, run, tmp_path):
    rules = [
        {"port": 443, "protocol": "tcp", "sources": [], "comment": 'say "hi"\n\\ ä' + "x" * 200},
        {"port": 5432, "protocol": "tcp", "sources": ["10.0.0.5", "10.0.0.0/24", "fd00::1"], "comment": ""},
        {"port": 53, "protocol": "udp", "sources": ["10.0.0.7"], "comment": "names"},
    ]
    path = tmp_path / "nftables.conf"
    path.write_text(content(base(firewall_rules=rules), "/etc/nftables.conf"))
    told = lines(path.read_text())
    assert "ip saddr { 10.0.0.0/24 } tcp dport 5432 accept" in told  # what overlaps can't stand in one set
    assert "ip6 saddr { fd00::1 } tcp dport 5432 accept" in told
    assert 'ip saddr { 10.0.0.7 } udp dport 53 accept comment "names"' in told
    run("unshare", "--map-root-user", "--net", "nft", "-c", "-f", path)


def test_a_source_that_is_no_address_is_refused(base):
    with pytest.raises(ValueError, match="nowhere"):
        base(firewall_rules=[{"port": 80, "protocol": "tcp", "sources": ["nowhere"], "comment": ""}])


def test_exactly_the_admins_keys_are_let_in(base, content):
    kitchen = base()
    path = "/home/deploy/.ssh/authorized_keys"
    assert content(kitchen, path) == "ssh-ed25519 AAAA ada\nssh-ed25519 BBBB bob\n"
    assert kitchen.resources["File"][path].mode == 0o600


def test_nobody_is_locked_out_by_an_empty_list_of_keys(declare):
    with pytest.raises(Fail, match="nobody could log in"):
        declare("base.access", **{"base.admin_keys": []})


def test_peers_are_named_and_the_server_itself_too(base, content):
    text = content(base("base.hosts", hostname="solo", hosts={"b": "10.0.0.2", "a": "10.0.0.1"}), "/etc/hosts")
    assert lines(text)[-3:] == ["127.0.1.1 solo", "10.0.0.1 a", "10.0.0.2 b"]
    text = content(base("base.hosts", hostname="a", hosts={"b": "10.0.0.2", "a": "10.0.0.1"}), "/etc/hosts")
    assert "127.0.1.1" not in text


def test_pip_is_told_of_the_index_only_when_there_is_one(base, content):
    assert "index-url" not in content(base("base.pip"), "/etc/pip.conf")
    assert "index-url = https://index.example/simple\n" in content(
        base("base.pip", pip_index_url="https://index.example/simple"), "/etc/pip.conf"
    )


def test_a_file_is_as_new_as_a_directory_only_when_nothing_there_is_newer(declare, tmp_path):
    as_new_as = declare("base.pip").cookbooks.base.as_new_as
    bundle, directory = tmp_path / "bundle", tmp_path / "certificates"
    directory.mkdir()
    assert not as_new_as(str(bundle), str(directory))
    bundle.touch()
    for path, time in ((directory, 1000), (bundle, 2000)):
        os.utime(path, (time, time))
    assert as_new_as(str(bundle), str(directory))
    (directory / "new.crt").touch()
    assert not as_new_as(str(bundle), str(directory))


def test_strangers_are_the_files_that_nobody_wants(declare, tmp_path: Path):
    for name in ("site-a.conf", "site-b.conf", "default"):
        (tmp_path / name).touch()
    strangers = declare("base.pip").cookbooks.base.strangers
    assert strangers(str(tmp_path), "site-*.conf", ["site-a.conf"]) == [str(tmp_path / "site-b.conf")]
    assert strangers(str(tmp_path / "nowhere"), "*", []) == []
