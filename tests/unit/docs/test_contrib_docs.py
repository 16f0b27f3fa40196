"""docs/contrib.rst is what the docstrings say now, and every task says what, how, and what it changes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "contrib.rst"


def test_the_page_is_current():
    # In a process of its own: Invoke forgets the help of options that it was asked for once.
    script = [sys.executable, str(ROOT / "scripts" / "contrib_docs.py"), "--print"]
    made = subprocess.run(script, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert PAGE.read_text(encoding="utf-8") == made, "`python scripts/contrib_docs.py` writes it anew"


def test_every_task_says_what_it_does_and_every_option_what_it_is():
    page = PAGE.read_text(encoding="utf-8")
    tasks = re.findall(r"^``([a-z_]+\.[a-z_]+)``\n    (.*)$", page, re.MULTILINE)
    assert len(tasks) > 60
    assert [name for name, told in tasks if not re.match(r"[A-Z].*", told)] == []
    assert re.findall(r"^    \* ``(.+)``:$", page, re.MULTILINE) == []


def test_every_module_of_contrib_has_its_place():
    modules = {path.stem for path in (ROOT / "contrib").iterdir() if path.name[0] not in "_."}
    assert modules <= {line.strip() for line in PAGE.read_text(encoding="utf-8").splitlines()}
