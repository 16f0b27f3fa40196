"""Choosing images, flavors, networks and names: what is taken, and what a wrong wish is told."""

import pytest

from deploymachine.cloud import Asked, boot_spec, connect, counted, lookup
from deploymachine.errors import CloudError, DeployMachineError, SettingsError, UsageError
from deploymachine.settings import Settings, load
from tests.unit.cloud.fake_openstack import KEY, image, make_settings


@pytest.fixture
def connection(cloud):
    return cloud.connection


@pytest.fixture
def images(openstack):
    openstack.images[:] = [
        {**image("debian-12-20250101", "2025-01-01T00:00:00Z"), "os_distro": "debian", "os_version": "12"},
        {**image("debian-12-20260101", "2026-01-01T00:00:00Z"), "os_distro": "debian", "os_version": "12"},
        {**image("debian-12-20270101", "2027-01-01T00:00:00Z", "queued"), "os_distro": "debian", "os_version": "12"},
        {**image("debian-13-20260601", "2026-06-01T00:00:00Z"), "os_distro": "debian", "os_version": "13"},
        {**image("web[1]", "2020-01-01T00:00:00Z")},
    ]
    return openstack.images


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("debian-12-20250101", 0),
        ("debian-12*", 1),
        ("debian-1?-2026*", 3),
        ("web[1]", 4),  # a name goes before a pattern
        ("os_distro=debian,os_version=12", 1),
        ("os_distro = debian", 3),
        ({"os_distro": "debian", "os_version": "12"}, 1),
        ({"os_distro": "debian", "name": "*-20250101"}, 0),
    ],
)
def test_image(connection, images, wanted, found):
    assert lookup.image(connection, wanted).id == images[found]["id"]


def test_an_image_made_of_a_server_is_nobodys_base(connection, images):
    images.append({**images[1], "id": "baked", "created_at": "2027-06-01T00:00:00Z", "deploymachine_bake": "raw"})
    for wanted in ("debian-12*", {"os_distro": "debian", "os_version": "12"}):
        assert lookup.image(connection, wanted).id == images[1]["id"]
    assert lookup.image(connection, "baked").id == "baked"


def test_image_by_id(connection, images):
    assert lookup.image(connection, images[0]["id"]).name == "debian-12-20250101"


@pytest.mark.parametrize(
    ("wanted", "what"),
    [
        ("ubuntu-*", "No image fits 'ubuntu-*'"),
        ({"os_distro": "ubuntu", "os_version": "24"}, "No image fits os_distro=ubuntu, os_version=24"),
        ("debian-14", "There is no image 'debian-14'"),
        ("os_distro=", "The image 'os_distro=' can't be read"),
    ],
)
def test_no_image(connection, images, wanted, what):
    with pytest.raises(DeployMachineError) as caught:
        lookup.image(connection, wanted)
    assert caught.value.what.startswith(what)
    assert caught.value.why
    assert caught.value.hint


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("m1.medium", "m1.medium"),
        ("ram >= 2048", "m1.small"),
        ("ram>2048", "m1.medium"),
        ("ram >= 2048, vcpus >= 2", "m1.medium"),
        ("ram >= 3 GB", "m1.medium"),
        ("vcpus >= 1, disk >= 10, ram <= 8192, ram > 4096MB", "m1.large"),
        ("vcpus = 2", "m1.medium"),
        ("vcpus == 4", "m1.large"),
    ],
)
def test_flavor(connection, wanted, found):
    assert lookup.flavors(connection, [wanted])[wanted].name == found


def test_the_least_flavor_that_fits_is_one_that_may_be_used(connection, openstack):
    openstack.more_flavors.append(
        {"id": "old", "name": "old.small", "ram": 1024, "vcpus": 1, "disk": 10, "OS-FLV-DISABLED:disabled": True}
    )
    assert lookup.flavors(connection, ["ram >= 512"])["ram >= 512"].name == "m1.small"


def test_a_flavor_whose_name_looks_like_an_expression(connection, openstack):
    openstack.more_flavors.append({"id": "x", "name": "ram>=2", "ram": 9, "vcpus": 9, "disk": 9})
    assert lookup.flavors(connection, ["ram>=2"])["ram>=2"].id == "x"


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ("ram => 2048", "'ram => 2048' is no condition on ram, vcpus or disk"),
        ("memory >= 2048", "'memory >= 2048' is no condition"),
        ("ram >= 2048,", "a condition is empty"),
        ("ram >= lots", "'ram >= lots' is no condition"),
        ("vcpus >= 2 GB", "vcpus has no unit"),
        ("disk >= 10 MB", "disk is in GB"),
    ],
)
def test_a_wrong_expression_gets_one_clear_message(cloud, openstack, wanted, why):
    with pytest.raises(UsageError) as caught:
        cloud.boot([boot_spec(cloud.settings, "appnode1", flavor=wanted)])
    assert caught.value.what == f"The flavor {wanted!r} can't be read"
    assert why in caught.value.why
    assert 'write it as "ram >= 2048"' in caught.value.hint
    assert not openstack.servers
    assert not openstack.groups


def test_no_flavor_fits(connection):
    with pytest.raises(CloudError, match="No flavor fits 'ram >= 99999'") as caught:
        lookup.flavors(connection, ["ram >= 99999"])
    assert caught.value.why == "the one with most memory is m1.large: 8192 MB, 4 vcpus, 10 GB disk"


def test_several_networks(tmp_path, openstack, sshd):
    storage = {**openstack.networks[0], "id": "storage-id", "name": "storage"}
    openstack.networks.append(storage)
    cloud = connect(make_settings(tmp_path, openstack, SSH_PORT=sshd, OPENSTACK_NETWORK=["private", "storage"]))
    cloud.boot(["appnode1"])
    [made] = openstack.servers.values()
    assert made["asked"]["networks"] == [{"uuid": openstack.networks[0]["id"]}, {"uuid": "storage-id"}]
    cloud.boot([boot_spec(cloud.settings, "appnode2", asked=Asked(networks=("storage",)))])
    assert [*openstack.servers.values()][1]["asked"]["networks"] == [{"uuid": "storage-id"}]


def test_what_settings_say_of_one_server_goes_before_what_they_say_of_all(tmp_path, openstack, sshd):
    named = {
        "appnode": [("appnode1", "m1.small"), {"name": "appnode2", "flavor": "ram >= 4096", "image": "ubuntu-*"}],
    }
    cloud = connect(make_settings(tmp_path, openstack, SSH_PORT=sshd, OPENSTACK_SERVERS=named))
    first, second, third = cloud.boot(["appnode1", "appnode2", "appnode3"])
    assert (first.flavor, first.image) == ("m1.small", "debian-13")
    assert (second.flavor, second.image) == (third.flavor, third.image) == ("m1.medium", "ubuntu-24.04")
    asked = Asked(flavor="m1.large", image="debian-12")
    [fourth] = cloud.boot([boot_spec(cloud.settings, "appnode4", asked=asked)])
    assert (fourth.flavor, fourth.image) == ("m1.large", "debian-12")


@pytest.mark.parametrize(
    ("name", "count", "names"),
    [
        ("appnode2", 3, ["appnode2", "appnode3", "appnode4"]),
        ("appnode9", 2, ["appnode9", "appnode10"]),
        ("web-01", 2, ["web-01", "web-02"]),
        ("web", 1, ["web"]),
    ],
)
def test_counted(name, count, names):
    assert counted(name, count) == names


@pytest.mark.parametrize(
    ("name", "count", "words"),
    [
        ("web", 2, "can't be counted on"),
        ("web1", 0, "from 1 to 100"),
        ("web1", -1, "from 1 to 100"),
        ("web1", 9999, "from 1 to 100"),
    ],
)
def test_not_countable(name, count, words):
    with pytest.raises(UsageError) as caught:
        counted(name, count)
    assert words in str(caught.value)


def test_counting_again_keeps_those_that_are_there(cloud, openstack):
    names = counted("appnode2", 3)
    cloud.boot(names)
    cloud.delete(["appnode3"])
    cloud.boot(names)
    assert sorted(one["name"] for one in openstack.servers.values()) == names


def test_a_server_on_no_openstack_is_not_booted(tmp_path, openstack):
    there = {"appnode": [{"name": "old1", "ip": "192.0.2.7"}]}
    with pytest.raises(UsageError, match="old1 is on no OpenStack") as caught:
        boot_spec(make_settings(tmp_path, openstack, SERVERS=there), "old1")
    assert "neither boots nor kills" in caught.value.why


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ('("appnode1",)', ["OPENSTACK_SERVERS['appnode'][0]", "(name, flavor)"]),
        ('{"name": "appnode1"}', ["OPENSTACK_SERVERS['appnode'][0]['flavor'] is missing"]),
        ('{"name": "appnode1", "flavour": "x", "flavor": "x"}', ["['flavour']", "did you mean 'flavor'"]),
        ('{"name": "appnode1", "flavor": "x", "image": {}}', ["['image']", "properties such as"]),
        ('{"name": "appnode1", "flavor": "x", "volume": 0}', ["['volume']", "greater than or equal to 1"]),
        (
            '{"name": "appnode1", "flavor": "x", "data_volumes": [{"size": 5}]}',
            ["['data_volumes'][0]['name'] is missing"],
        ),
        (
            '{"name": "appnode1", "flavor": "x", "data_volumes": [{"name": "a", "size": 5}, {"name": "a", "size": 5}]}',
            ["two have the same name"],
        ),
    ],
)
def test_a_mistake_in_a_servers_dict_is_named_with_its_path(tmp_path, server, words):
    text = f"DEPLOYMENT = 'site'\nADMIN_SSH_KEYS = [{KEY!r}]\nOPENSTACK_SERVERS = {{'appnode': [{server}]}}\n"
    (tmp_path / "settings.py").write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(tmp_path)
    for word in words:
        assert word in str(caught.value)


def test_short_forms_in_settings(tmp_path):
    server = {
        "name": "dbserver1",
        "flavor": "x",
        "network": "private",
        "data_volumes": [10, {"name": "wal", "size": 5}],
    }
    settings = Settings(
        directory=tmp_path, DEPLOYMENT="site", ADMIN_SSH_KEYS=[KEY], OPENSTACK_SERVERS={"dbserver": [server]}
    )
    kind, read = settings.booted()["dbserver1"]
    assert (kind, read.network) == ("dbserver", ("private",))
    assert [(one.name, one.size, one.keep) for one in read.data_volumes] == [("data1", 10, True), ("wal", 5, True)]
    assert settings.OPENSTACK_NETWORK == ()
    assert settings.private_network is None
