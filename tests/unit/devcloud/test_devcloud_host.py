"""What devcloud makes of the machine it runs on: its apt, its routes, its resolvers, its clouds.yaml."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest
import yaml

from deploymachine.devcloud import aptcache, aptsources, cloudsyaml, control, host, image, layout, network, process
from deploymachine.devcloud.firewall import Wiring
from deploymachine.devcloud.layout import Layout
from deploymachine.errors import DevcloudError

PLACE = Layout(Path("/state"), Path("/images"), 15000, "10.9.0.0/24", "10.19.0.0/24", "pass", "secret", 1400)


def test_debian_is_told_from_the_others_by_its_origin():
    targets = [
        "Docker|bookworm|http://docker.example/debian/",
        "Debian|bookworm-backports|http://backports.example/debian/",
        "Debian|bookworm|http://mirror.example/debian/",
        "Debian|bookworm-updates|http://mirror.example/debian/",
        "Debian|bookworm-security|http://mirror.example/debian-security/",
    ]
    found = aptsources.debian(targets)
    assert found.sources("trixie") == [
        "deb http://mirror.example/debian/ trixie main",
        "deb http://mirror.example/debian/ trixie-updates main",
        "deb http://mirror.example/debian-security/ trixie-security main",
    ]
    assert aptsources.debian(["Ubuntu|noble|http://ubuntu.example/ubuntu/"]) is None


def test_what_apt_needs_to_reach_the_mirror_goes_into_the_image():
    dump = [
        'Acquire::http::Proxy "http://proxy.example:3142";',
        'Acquire::http::Proxy::internal.example "DIRECT";',
        'Acquire::https::Proxy "";',
        'Acquire::Check-Valid-Until "false";',
        'Acquire::Languages "none";',
    ]
    options = aptsources.kept_options(dump)
    assert options == (dump[0], dump[1], dump[3])
    command = image.bootstrap(image.RELEASES["debian-12"], aptsources.Mirror("http://m/", None, options), Path("/tree"))
    assert '--aptopt=Acquire::Check-Valid-Until "false"' in command
    assert command[-4:] == ["bookworm", "/tree", "deb http://m/ bookworm main", "deb http://m/ bookworm-updates main"]


def test_a_changed_recipe_is_another_image():
    one, other = aptsources.Mirror("http://one/", None), aptsources.Mirror("http://other/", None)
    assert image.fingerprint("debian-13", one) != image.fingerprint("debian-13", other)
    assert image.fingerprint("debian-13", one) != image.fingerprint("debian-12", one)


def test_an_image_with_more_packages_is_offered_where_they_are_named(monkeypatch):
    mirror = aptsources.Mirror("http://m/", None)
    monkeypatch.delenv("DEPLOYMACHINE_DEVCLOUD_PACKAGES", raising=False)
    plain = image.fingerprint("debian-13", mirror)
    with pytest.raises(DevcloudError, match="prepared is not offered"):
        image.fingerprint("prepared", mirror)
    monkeypatch.setenv("DEPLOYMACHINE_DEVCLOUD_PACKAGES", " git\n nginx")
    command = image.bootstrap(image.offered()["prepared"], mirror, Path("/tree"))
    assert any(word.startswith("--include=systemd,") and word.endswith(",git,nginx") for word in command)
    assert image.fingerprint("debian-13", mirror) == plain
    first = image.fingerprint("prepared", mirror)
    monkeypatch.setenv("DEPLOYMACHINE_DEVCLOUD_PACKAGES", "git")
    assert image.fingerprint("prepared", mirror) not in (first, plain)


def test_networks_are_chosen_free():
    assert layout.free_networks([]) == ("10.87.0.0/24", "10.187.0.0/24")
    assert layout.free_networks([IPv4Network("10.87.0.0/23")]) == ("10.87.2.0/24", "10.187.2.0/24")
    with pytest.raises(DevcloudError, match="no free network"):
        layout.free_networks([IPv4Network("10.0.0.0/8")])


def test_a_neighbour_whose_api_has_died_keeps_its_port_and_networks(tmp_path, monkeypatch):
    monkeypatch.setattr(host, "REGISTER", tmp_path / "register")
    monkeypatch.setattr(layout, "run", lambda _words: "[]")
    monkeypatch.setattr(layout, "uplink_mtu", lambda: 1500)
    first = layout.choose(tmp_path / "first")
    first.save()
    host.REGISTER.mkdir()
    (host.REGISTER / first.table).write_text(str(first.directory))
    (host.REGISTER / "devcloud_gone").write_text(str(tmp_path / "deleted"))
    assert host.neighbours() == [first]
    second = layout.choose(tmp_path / "second", host.neighbours())
    assert second.port > first.port
    assert (second.network, second.floating) != (first.network, first.floating)


def test_names_of_links_fit_the_kernel():
    assert len(PLACE.machine(99999)) <= 15


@pytest.mark.parametrize(
    ("resolved", "plain", "expected"),
    [
        (None, "nameserver 192.0.2.53\n", network.Resolvers(("192.0.2.53",))),
        ("nameserver 192.0.2.1\n", "nameserver 127.0.0.53\n", network.Resolvers(("192.0.2.1",))),
        (None, "search x\nnameserver 127.0.0.1\n", network.Resolvers(("10.9.0.1",), "127.0.0.1")),
        (None, "", network.Resolvers(())),
    ],
)
def test_machines_ask_the_hosts_resolvers(tmp_path, resolved, plain, expected):
    if resolved is not None:
        (tmp_path / "resolved").write_text(resolved)
    (tmp_path / "resolv.conf").write_text(plain)
    assert network.resolvers("10.9.0.1", [tmp_path / "resolved", tmp_path / "resolv.conf"]) == expected


def test_rules_name_only_what_is_ours():
    rules = network.ruleset(PLACE, Wiring(floating=(("10.19.0.2", "10.9.0.2"),)), "127.0.0.1")
    assert rules.count("ip daddr 10.19.0.2 dnat ip to 10.9.0.2") == 2  # for others and for the host itself
    assert f'iifname "dc{PLACE.tag}-*" oifname != "dc{PLACE.tag}-*" masquerade' in rules
    assert "dport 53 fib daddr type local dnat ip to 127.0.0.1" in rules


def test_clouds_yaml_is_made_renewed_and_removed(tmp_path):
    file = tmp_path / "clouds.yaml"
    cloudsyaml.check(tmp_path)
    assert cloudsyaml.write(tmp_path, PLACE)
    assert not cloudsyaml.write(tmp_path, PLACE)
    assert file.stat().st_mode & 0o777 == 0o600
    auth = yaml.safe_load(file.read_text())["clouds"]["devcloud"]["auth"]
    assert (auth["auth_url"], auth["password"]) == ("http://127.0.0.1:15000/identity/v3", "pass")
    cloudsyaml.remove(tmp_path)
    assert not file.exists()


def test_what_a_user_added_to_our_file_stays(tmp_path):
    file = tmp_path / "clouds.yaml"
    cloudsyaml.write(tmp_path, PLACE)
    file.write_text(file.read_text() + "  mine:  # the real one\n    profile: example\n")
    cloudsyaml.remove(tmp_path)
    assert yaml.safe_load(file.read_text()) == {"clouds": {"mine": {"profile": "example"}}}
    assert "# the real one" in file.read_text()


def test_a_users_own_file_is_refused_until_it_names_the_cloud(tmp_path):
    file = tmp_path / "clouds.yaml"
    file.write_text("clouds:\n  mine: {profile: example}\n")
    with pytest.raises(DevcloudError) as caught:
        cloudsyaml.check(tmp_path)
    assert caught.value.where == str(file)
    assert "devcloud:" in caught.value.hint
    file.write_text("# my clouds\nclouds:\n  devcloud:\n  mine: {profile: example}\n")
    cloudsyaml.check(tmp_path)
    cloudsyaml.write(tmp_path, PLACE)
    clouds = yaml.safe_load(file.read_text())["clouds"]
    assert (clouds["devcloud"]["auth"]["password"], clouds["mine"]) == ("pass", {"profile": "example"})
    cloudsyaml.remove(tmp_path)
    assert "# my clouds" in file.read_text()
    assert "devcloud" in file.read_text()


def test_without_root_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(DevcloudError, match="devcloud needs root"):
        control.up(tmp_path)


def test_elsewhere_than_on_linux_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(DevcloudError, match="devcloud needs Linux"):
        control.up(tmp_path)


def test_missing_tools_are_named_with_their_packages(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(control, "has_tool", lambda tool: tool not in ("nft", "systemd-nspawn"))
    with pytest.raises(DevcloudError) as caught:
        control.check_machine()
    assert caught.value.hint.endswith("nftables systemd-container")


def test_status_of_a_devcloud_that_is_down(tmp_path, monkeypatch):
    monkeypatch.setenv("DEPLOYMACHINE_DEVCLOUD_DIR", str(tmp_path))
    assert str(control.status()) == f"devcloud is down ({tmp_path})"


def test_a_reused_process_id_is_somebody_else():
    child = subprocess.Popen(["sleep", "60"])
    me = process.identify(child.pid)
    assert process.alive(me)
    assert not process.alive(process.Process(child.pid, me.started - 1))
    child.kill()
    assert process.ended(me, 5)  # a zombie is dead, too
    child.wait()
    assert not process.alive(None)


def test_a_state_directory_that_another_deployment_holds_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(control, "has_tool", lambda _: True)
    monkeypatch.setenv("DEPLOYMACHINE_DEVCLOUD_DIR", str(tmp_path / "state"))
    first, second = tmp_path / "first", tmp_path / "second"
    for directory in (tmp_path / "state", first, second):
        directory.mkdir()
    (tmp_path / "state/deployments.json").write_text(f'["{first}"]')
    cloudsyaml.write(first, PLACE)
    for act in (control.up, control.reset, lambda directory: control.down(directory=directory)):
        with pytest.raises(DevcloudError, match="another deployment's devcloud holds this") as caught:
            act(second)
        assert (caught.value.where, caught.value.why) == (str(tmp_path / "state"), f"it was brought up in {first}")
    (first / "clouds.yaml").unlink()  # that deployment is gone
    control.check_holder(tmp_path / "state", second)


def test_nothing_is_reset_where_nothing_is_up(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(control, "has_tool", lambda _: True)
    monkeypatch.setenv("DEPLOYMACHINE_DEVCLOUD_DIR", str(tmp_path))
    with pytest.raises(DevcloudError, match="devcloud is down") as caught:
        control.reset(tmp_path)
    assert caught.value.hint == "fab devcloud_up"


def test_the_package_cache_asks_the_mirrors_as_this_host_does():
    dump = 'Acquire::http::Proxy "http://proxy.example:3128";\nAcquire::http::Proxy::other.example "DIRECT";\n'
    proxy = aptcache.proxy_of(dump)
    assert proxy == "http://proxy.example:3128"
    assert aptcache.proxy_of('Acquire::http::Proxy "";\n') is None
    lines = aptcache.configuration(PLACE, proxy).splitlines()
    assert {"BindAddress: 10.9.0.1", "Port: 15000", "Proxy: http://proxy.example:3128"} <= set(lines)


def test_machines_do_without_the_package_cache_where_it_does_not_answer(tmp_path):
    for directory in ("etc/apt/apt.conf.d", "usr/local/lib"):
        (tmp_path / directory).mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        aptcache.introduce(replace(PLACE, network="127.0.0.0/24", port=port), tmp_path)
        asked = [tmp_path / aptcache.CHOOSER, "http://mirror.example/debian"]
        answers = [subprocess.check_output(asked, text=True)]
        answers.append(subprocess.check_output([asked[0], "https://mirror.example/debian"], text=True))
    answers.append(subprocess.check_output(asked, text=True))
    assert answers == [f"http://127.0.0.1:{port}\n", "", ""]
    assert aptcache.CHOOSER in (tmp_path / aptcache.SETTING).read_text()


def test_a_window_for_resizes_must_be_seconds(monkeypatch):
    monkeypatch.setenv("DEPLOYMACHINE_DEVCLOUD_CONFIRM_WINDOW", "soon")
    with pytest.raises(DevcloudError, match="no such time for a resize"):
        layout.chosen_window()


def test_an_image_that_a_snapshot_stands_on_is_kept(tmp_path):
    tree = tmp_path / "debian-13-00000000"
    tree.mkdir()
    os.utime(tree, (0, 0))
    image.hold(tree, "dc12-one")
    image.purge(tmp_path)
    assert tree.exists()
    image.release(tmp_path, "dc12-*")
    image.purge(tmp_path)
    assert not tmp_path.exists()


def test_an_unpacked_package_cache_finds_what_is_its_own(tmp_path):
    for library in ("lib/x86_64-linux-gnu/libfuse.so.2", "usr/lib/x86_64-linux-gnu/libsupacng.so", "usr/lib/other.so"):
        (tmp_path / library).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / library).touch()
    wanted = f"{tmp_path}/lib/x86_64-linux-gnu:{tmp_path}/usr/lib/x86_64-linux-gnu"
    assert aptcache.libraries(tmp_path) == {"LD_LIBRARY_PATH": wanted}
    assert f"SupportDir: {tmp_path}" in aptcache.configuration(PLACE, None, tmp_path).splitlines()


def test_switches_are_turned_only_up_and_turned_back_by_the_last_to_leave(tmp_path, monkeypatch):
    forward, instances = tmp_path / "ip_forward", tmp_path / "max_user_instances"
    forward.write_text("0\n")
    instances.write_text("65536\n")
    monkeypatch.setattr(host, "REGISTER", tmp_path / "register")
    monkeypatch.setattr(host, "SWITCHES", {forward: 1, instances: 8192})
    running = {"devcloud_other"}
    monkeypatch.setattr(host, "_runs", lambda table: table in running)
    host.enter(PLACE)
    (tmp_path / "register/devcloud_other").touch()
    assert (forward.read_text(), instances.read_text()) == ("1", "65536\n")
    host.leave(PLACE)
    assert forward.read_text() == "1"
    running.clear()
    host.leave(PLACE)
    assert (forward.read_text(), (tmp_path / "register").exists()) == ("0\n", False)
