import socket

import pytest

from deploymachine.cloud.banner import answering_port


@pytest.fixture
def closed():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def test_the_port_that_greets_is_found_whatever_the_other_does(sshd, closed):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for other in (closed, silent.getsockname()[1]):
            assert answering_port("127.0.0.1", (other, sshd)) == sshd
            assert answering_port("127.0.0.1", (sshd, other)) == sshd


def test_nobody_there(closed):
    assert answering_port("127.0.0.1", (closed,)) is None
    assert answering_port("::1", (closed,)) is None
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert answering_port("127.0.0.1", (closed, silent.getsockname()[1]), within=0.05) is None


def test_another_protocol_is_not_ssh(openstack):
    host, _, port = openstack.url.removeprefix("http://").partition(":")
    assert answering_port(host, (int(port),), within=0.05) is None
