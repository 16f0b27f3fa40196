"""What a server is told besides its way in: bans, kernel settings, updates, swap; and what sshd offers where."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from kokki import Fail

KEYS = ["ssh-ed25519 AAAA ada"]
SSHD = "/etc/ssh/sshd_config.d/10-deploymachine.conf"


@pytest.fixture
def system(monkeypatch):
    """system("debian", "12", ...) -> the facts of the server that recipes see."""
    from kokki.environment import System

    def known(platform="debian", version="13", **facts):
        found = {"ipv4": ["10.0.0.5"], "memory_mb": 1024, "hostname": "box1", **facts}
        found.update(platform=platform, release={"VERSION_ID": version})
        monkeypatch.setattr(System, "get_instance", lambda: SimpleNamespace(**found))

    return known


@pytest.fixture
def told(declare, content):
    """told(recipe, path) -> the lines that the file would hold."""

    def lines(recipe, path, **attributes):
        library = attributes.pop("library", None)
        given = {"admin_keys": KEYS, "ssh_port": 49022, **attributes}
        kitchen = declare(recipe, library=library, **{f"base.{key}": value for key, value in given.items()})
        return content(kitchen, path).splitlines()

    return lines


def test_who_is_never_banned(told):
    hosts = {"a": "10.0.0.7", "b": "10.0.0.5"}
    jail = told("base.fail2ban", "/etc/fail2ban/jail.local", hosts=hosts, fail2ban_ignore=["192.0.2.9/24", "fd00::1"])
    assert "ignoreip = 10.0.0.5/32 10.0.0.7/32 127.0.0.0/8 192.0.2.0/24 ::1/128 fd00::1/128" in jail
    assert jail[jail.index("[sshd]") :].count("backend = systemd") == 1
    assert "port = 49022" in jail


def test_what_is_no_address_is_named(told):
    with pytest.raises(Fail, match=r"base\.fail2ban_ignore: 'office'"):
        told("base.fail2ban", "/etc/fail2ban/jail.local", fail2ban_ignore=["office"])


@pytest.mark.parametrize(
    ("name", "version", "first", "keys", "curve"),
    [
        ("debian", "13", "mlkem768x25519-sha256", 1, False),
        ("debian", "12", "sntrup761x25519-sha512", 2, True),
        ("ubuntu", "24.04", "sntrup761x25519-sha512@openssh.com", 1, True),
        ("ubuntu", "22.04", "sntrup761x25519-sha512@openssh.com", 2, True),
    ],
)
def test_sshd_offers_what_is_hardened_on_its_release(told, system, name, version, first, keys, curve):
    system(name, version)
    lines = told("base.sshd", SSHD)
    exchanges = next(line for line in lines if line.startswith("KexAlgorithms ")).split()[1].split(",")
    assert exchanges[0] == first
    assert ("curve25519-sha256" in exchanges) == curve
    assert not any("nistp" in one or one.endswith(("sha1", "group14-sha256")) for one in exchanges)
    assert sum(line.startswith("HostKey ") for line in lines) == keys


def test_an_unknown_release_offers_its_own_without_the_weak(told, system):
    system("debian", "99")
    assert any(line.startswith("KexAlgorithms -ecdh-sha2-*") for line in told("base.sshd", SSHD))


def test_clients_that_know_none_of_them_can_be_served(told, system):
    system("debian", "13")
    lines = told("base.sshd", SSHD, ssh_more_kex=["curve25519-sha256"])
    assert any(line.startswith("KexAlgorithms ") and line.endswith(",curve25519-sha256") for line in lines)


@pytest.mark.parametrize("new", [True, False])
def test_sshd_itself_punishes_none_of_them_either(told, system, new):
    system()
    lines = told("base.sshd", SSHD, hosts={"a": "10.0.0.7"}, library={"base.punishes_sources": lambda: new})
    exempt = "PerSourcePenaltyExemptList 10.0.0.7/32,127.0.0.0/8,::1/128"
    assert (exempt in lines) == new


def kernel(declare, **attributes):
    library = {"base.writable": lambda name: not name.startswith("kernel.")}
    resources = declare("base.kernel", library=library, **attributes).resources["Sysctl"]
    return {name: resource.value for name, resource in resources.items()}


def test_kernel_settings_that_can_not_be_set_here_are_left_out(declare, system, monkeypatch):
    system()
    monkeypatch.setattr("os.access", lambda path, mode: "/kernel/" not in path)
    found = kernel(declare, **{"base.sysctl": {"net.core.somaxconn": 4096, "net.ipv4.tcp_syncookies": None}})
    assert found["net.core.somaxconn"] == 4096
    assert found["net.ipv4.conf.all.rp_filter"] == 1
    assert next(iter(found)) == "net.ipv4.conf.all.forwarding"  # switching it off resets others
    assert not {"kernel.sysrq", "net.ipv4.tcp_syncookies"} & set(found)


def test_several_addresses_may_answer_by_another_way(declare, system, monkeypatch):
    system(ipv4=["10.0.0.5", "10.1.0.5"])
    monkeypatch.setattr("os.access", lambda path, mode: True)
    assert kernel(declare)["net.ipv4.conf.all.rp_filter"] == 2


@pytest.mark.parametrize(("time", "reboots"), [("03:20", True), (None, False)])
def test_it_reboots_by_itself_only_when_a_time_is_set(told, time, reboots):
    lines = told("base.updates", "/etc/apt/apt.conf.d/52deploymachine", reboot_time=time)
    assert (f'Unattended-Upgrade::Automatic-Reboot "{str(reboots).lower()}";') in lines
    assert ('Unattended-Upgrade::Automatic-Reboot-Time "03:20";' in lines) == reboots


@pytest.mark.parametrize(
    ("container", "wanted", "memory", "expected"),
    [(False, None, 1024, 1024), (False, None, 64000, 2048), (False, 512, 1024, 512), (True, 512, 1024, 0)],
)
def test_swap(declare, system, monkeypatch, container, wanted, memory, expected):
    system(memory_mb=memory)
    monkeypatch.setattr("os.statvfs", lambda path: SimpleNamespace(f_blocks=100 * 2**20, f_frsize=4096))
    library = {"base.in_container": lambda: container, "base.has_swap_file": lambda path: False}
    kitchen = declare("base.swap", library=library, **{"base.swap_mb": wanted})
    assert ("swapfile.swap" in kitchen.resources.get("Service", {})) == bool(expected)
    if expected:
        assert f"fallocate -l {expected}M" in kitchen.resources["Execute"]["swap file"].command


def test_sudo_asks_for_a_password_and_is_checked(declare, content, run, tmp_path):
    kitchen = declare("base.sudo", **{"base.deploy_username": "ops"})
    path = "/etc/sudoers.d/10-deploymachine"
    assert content(kitchen, path).splitlines()[-1] == "ops ALL=(ALL:ALL) ALL"
    assert kitchen.resources["File"][path].mode == 0o440
    (tmp_path / "sudoers").write_text(content(kitchen, path))
    run("visudo", "-c", "-q", "-f", tmp_path / "sudoers")


SHADOW = "deploy:$2b$:20000:{}:{}:7:::\n"


@pytest.mark.parametrize(
    ("least", "most", "stays"), [("0", "99999", True), ("0", "", True), ("0", "-1", True), ("1", "365", False)]
)
def test_the_deploy_users_password_never_ends(declare, tmp_path, least, most, stays):
    (tmp_path / "shadow").write_text("root:*:1:0:99999:7:::\n" + SHADOW.format(least, most))
    password_stays = declare("base.pip").cookbooks.base.password_stays
    assert password_stays("deploy", str(tmp_path / "shadow")) == stays
    assert not password_stays("nobody", str(tmp_path / "shadow"))


def test_a_mount_has_all_options_or_not(declare, tmp_path):
    (tmp_path / "mounts").write_text("tmpfs /here tmpfs rw,nosuid,nodev 0 0\ntmpfs /run tmpfs rw,noexec 0 0\n")
    mounted_with = declare("base.pip").cookbooks.base.mounted_with
    table = str(tmp_path / "mounts")
    assert mounted_with("/here", ["nosuid", "nodev"], table)
    assert not mounted_with("/here", ["nosuid", "noexec"], table)
    assert not mounted_with("/there", [], table)


def test_moduli_that_are_too_small_are_seen(declare, tmp_path):
    weak = declare("base.pip").cookbooks.base.weak_moduli
    path = tmp_path / "moduli"
    assert not weak(str(path))
    path.write_text("# Time Type Tests Tries Size Generator Modulus\n20230101 2 6 100 4095 2 C0FFEE\n")
    assert not weak(str(path))
    with path.open("a") as file:
        file.write("20230101 2 6 100 2047 2 C0FFEE\n")
    assert weak(str(path))


def test_what_apt_would_bring(declare):
    simulated = """Reading package lists...
Inst libc6 [2.41-12] (2.41-13 Debian-Security:13/stable-security [amd64]) []
Inst linux-image-6.12.2 (6.12.2-1 Debian:13/stable [amd64])
Conf libc6 (2.41-13 Debian-Security:13/stable-security [amd64])
"""
    found = declare("base.pip").cookbooks.base.newer_versions(simulated)
    assert found == {"libc6": ("2.41-12", "2.41-13"), "linux-image-6.12.2": (None, "6.12.2-1")}
