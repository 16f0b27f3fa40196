"""The words in which the cloud part tells how far a server is, and who listens to them."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, str], None]  # (server name, phase); called from several threads
Agree = Callable[[str], bool]  # (question) -> whether something may be destroyed

EXISTS, BUILD, ACTIVE, CLOUD_INIT, SSH, FAILED = "exists", "BUILD", "ACTIVE", "cloud-init", "SSH", "failed"
HEAL, REMAKE = "healing", "making anew"


def nobody_watches(_name: str, _phase: str) -> None:
    """Progress that goes nowhere."""


def never(_question: str) -> bool:
    """Nothing is destroyed where nobody can be asked."""
    return False
