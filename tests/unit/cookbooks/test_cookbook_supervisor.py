"""supervisor's unit: what its programs may do on a server, and what of it a user can open."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

UNIT = "supervisor.service.d/deploymachine.conf"


@pytest.fixture
def unit(declare):
    def rendered(**attributes):
        kitchen = declare("supervisor", **{f"supervisor.{key}": value for key, value in attributes.items()})
        with kitchen:
            return kitchen.resources["SystemdUnit"][UNIT].content()

    return rendered


def test_a_change_of_it_restarts_supervisor_before_any_program_is_told_of(declare):
    kitchen = declare("supervisor")
    changed = kitchen.resources["SystemdUnit"][UNIT]
    assert [(action, str(resource)) for action, resource in changed.subscriptions["immediate"]] == [
        ("restart", "Service[supervisor]")
    ]


def test_what_is_set_further_comes_last_and_more_can_be_written_to(unit):
    lines = unit(writable=["/var/lib/shop"], memory_share=0.5, unit={"RestrictNamespaces": "no"}).splitlines()
    assert {"ReadWritePaths=/run /srv /var/log/supervisor", "ReadWritePaths=/var/lib/shop", "MemoryMax=50%"} <= set(
        lines
    )
    assert lines[-1] == "RestrictNamespaces=no"


def test_one_process_that_takes_too_much_does_not_end_them_all(unit):
    assert "OOMPolicy=continue" in unit().splitlines()


def test_it_is_exposed_to_little(unit, tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    file = tmp_path / "supervisor.service"
    file.write_text(unit().replace("[Service]", "[Service]\nExecStart=/usr/bin/supervisord"))
    told = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", "--offline=true", file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.stderr == ""  # what it does not understand
    assert float(re.search(r"exposure level for \S+: ([\d.]+)", told.stdout)[1]) <= 3.0


def test_its_own_log_is_bounded_and_nobody_else_reads_what_programs_say(declare):
    kitchen = declare("supervisor")
    with kitchen:
        told = kitchen.resources["File"]["/etc/supervisor/supervisord.conf"].content().decode().splitlines()
    assert {"logfile_maxbytes=10MB", "logfile_backups=3", "umask=027"} <= set(told)
