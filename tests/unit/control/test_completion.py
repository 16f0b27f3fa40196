"""The tab key: what bash, zsh and fish offer, each of them itself where it is installed."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
FABFILE = Path(__file__).parents[3] / "fabfile.py"
# A completion as bash does it: the line, the cursor at its end, the function that `complete` names.
PRESS = """
source <(fab completion bash)
COMP_LINE=$1 COMP_POINT=${#1}
read -ra COMP_WORDS <<< "$1"
_deploymachine_fab
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def deployed(directory: Path) -> Path:
    for name in ("fabfile.py", "fabric.yaml"):
        (directory / name).write_text((FABFILE.parent / name).read_text())
    (directory / "settings_staging.py").write_text(
        'from settings import *\nDEPLOYMENT = "staging"\nSITES = {"shop": {}}\n'
        'OPENSTACK_SERVERS = {"appnode": [("stage1", "m1.small")]}\n'
    )
    return directory


def run(directory: Path, *argv: str) -> list[str]:
    environment = {**os.environ, "HOME": str(directory), "PATH": f"{BIN}:{os.environ['PATH']}"}
    done = subprocess.run(argv, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("fab openstack_boote", ["openstack_bootem"]),
        ("fab server:appnode", ["appnode1", "appnode2"]),  # what is before the colon stands there already
        ("fab appnode supervisor.restart --site ", ["blog"]),
        ("fab stag", ["staging"]),
        ("fab staging appnode supervisor.restart --site ", ["shop"]),
        ("fab openstack_boot app", ["appnode1", "appnode2", "appnode", "appbalancer"]),
        ("fab completion f", ["fish"]),
        ("fab secrets.rotate database-blog --pat", ["--patience"]),
    ],
)
def test_bash_offers(deployed: Path, line: str, offered: list[str]) -> None:
    found = run(deployed, "bash", "-c", PRESS, "bash", line)
    assert set(offered) <= set(found)
    assert len(found) == len(offered) or line.endswith(" app")


def test_nothing_is_offered_where_any_text_may_stand(deployed: Path) -> None:
    assert run(deployed, "fab", "--complete", "--", "fab everything system.run --command ") == []


def test_it_works_without_settings(deployed: Path) -> None:
    (deployed / "settings.py").unlink()
    assert "provision" in run(deployed, "fab", "--complete", "--", "fab prov")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_one_of_that_shells(deployed: Path, tmp_path: Path, shell: str) -> None:
    script = "\n".join(run(deployed, "fab", "completion", shell))
    assert "fab --complete -- " in script
    if shutil.which(shell):
        (tmp_path / "script").write_text(script)
        run(deployed, shell, "-n", str(tmp_path / "script"))


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("fab openstack_boote", ["openstack_bootem"]),
        ("fab server:appnode", ["server:appnode1", "server:appnode2"]),
        ("fab appnode supervisor.restart --site ", ["blog"]),
        ("fab staging appnode supervisor.restart --site ", ["shop"]),
        ("fab completion f", ["fish"]),
    ],
)
def test_fish_offers(deployed: Path, line: str, offered: list[str]) -> None:
    press = 'source (fab completion fish | psub); complete --do-complete "$argv[1]"'
    assert run(deployed, "fish", "--no-config", "--command", press, line) == offered


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
@pytest.mark.parametrize(
    ("line", "becomes"),
    [
        ("fab openstack_boote", "fab openstack_bootem "),
        ("fab server:appn", "fab server:appnode"),
        ("fab appnode supervisor.restart --site ", "fab appnode supervisor.restart --site blog "),
        ("fab staging appnode supervisor.restart --site s", "fab staging appnode supervisor.restart --site shop "),
    ],
)
def test_zsh_completes(deployed: Path, line: str, becomes: str) -> None:
    """On a terminal, since there is no other way to press the key; Ctrl-X shows what stands on the line by then."""
    show = "show() { print -r -- \"<$BUFFER>\" > shown; }; zle -N show; bindkey '^X' show"
    ready = f"autoload -U compinit && compinit -D -u; source <(fab completion zsh); {show}; touch ready"
    (deployed / ".zshrc").write_text(f"unsetopt beep\n{ready}\n")
    environment = {**os.environ, "HOME": str(deployed), "ZDOTDIR": str(deployed), "TERM": "dumb"}
    terminal, inside = pty.openpty()
    with subprocess.Popen(
        ["setsid", "--ctty", "zsh", "-d", "-i"],
        cwd=deployed,
        env={**environment, "PATH": f"{BIN}:{os.environ['PATH']}"},
        stdin=inside,
        stdout=inside,
        stderr=inside,
    ) as shell:
        os.close(inside)
        try:
            _until(terminal, deployed / "ready")
            os.write(terminal, f"{line}\t\x18".encode())
            _until(terminal, deployed / "shown")
        finally:
            shell.kill()
            os.close(terminal)
    assert (deployed / "shown").read_text() == f"<{becomes}>\n"


def _until(terminal: int, path: Path) -> None:
    """Read what is shown until that file has something in it, or is there for as long as that."""
    deadline, said = time.monotonic() + 60, b""
    while not path.exists() or (path.name == "shown" and not path.stat().st_size):
        assert time.monotonic() < deadline, said.decode(errors="replace")
        if select.select([terminal], [], [], 0.05)[0]:
            said += os.read(terminal, 4096)
