"""Boot specs and the project's servers in; what has to be done about each, and whether that was agreed to, out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deploymachine.cloud import describe, heal
from deploymachine.cloud.heal import Case, Do
from deploymachine.cloud.progress import Agree
from deploymachine.cloud.specs import BootSpec
from deploymachine.settings import Settings

if TYPE_CHECKING:
    from openstack.compute.v2.server import Server as RawServer

MADE = (Do.MAKE, Do.AWAIT_END, Do.REMAKE, Do.REVIVE)  # what may end in a new server


@dataclass(frozen=True)
class Survey:
    """What a boot found when it began. ours: the deployment's servers; others: the rest of the project's."""

    specs: Mapping[str, BootSpec]
    ours: Sequence[RawServer]
    others: Sequence[RawServer]
    cases: Mapping[str, Case]
    agreed: Mapping[str, bool]

    @property
    def new(self) -> list[BootSpec]:
        """The servers that have to be made, or may have to."""
        return [self.specs[name] for name, case in self.cases.items() if case.do in MADE and self.agreed[name]]

    @property
    def going(self) -> list[RawServer]:
        """The servers that are deleted first."""
        doomed = [raw for name, case in self.cases.items() if self.agreed[name] for raw in case.doomed]
        leaving = [case.raw for case in self.cases.values() if case.do is Do.AWAIT_END and case.raw is not None]
        return [*doomed, *leaving]

    @property
    def names(self) -> set[str]:
        """Every server of the deployment, there or named."""
        return {*self.specs, *(raw.name for raw in self.ours)}

    def namesakes(self) -> list[str]:
        """Warnings of others' servers that have the name of one that is going to be made."""
        new = {spec.name for spec in self.new}
        return [_namesake(raw) for raw in self.others if raw.name in new]


def survey(specs: Iterable[BootSpec], every: Sequence[RawServer], settings: Settings, agree: Agree) -> Survey:
    """Look at each server that is named, and ask where only deleting it helps. Raises CloudError."""
    by_name = {spec.name: spec for spec in specs}
    ours = [raw for raw in every if describe.is_of(raw, settings.DEPLOYMENT)]
    patience, now = settings.OPENSTACK_BOOT_TIMEOUT, heal.now()
    cases = {name: heal.verdict([raw for raw in ours if raw.name == name], patience, now) for name in by_name}
    questions = {name: heal.question(name, case) for name, case in cases.items()}
    agreed = {name: question is None or agree(question) for name, question in questions.items()}
    return Survey(by_name, ours, [raw for raw in every if not describe.is_of(raw, settings.DEPLOYMENT)], cases, agreed)


def _namesake(raw: RawServer) -> str:
    owner = (raw.metadata or {}).get(describe.DEPLOYMENT)
    whose = f"of the deployment {owner}" if owner else "of no deployment"
    return (
        f"the project has another server {raw.name!r}, {whose} ({raw.id}); it is left alone, and commands such as"
        " `openstack server show` want an id to tell them apart"
    )
