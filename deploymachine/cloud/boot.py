"""Boot specs in, servers that answer SSH out: what runs is kept, what is broken is mended or, agreed to, made anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from deploymachine.cloud import banner, cloudinit, describe, floating, groups, heal, hostkeys, kill, plan, volumes
from deploymachine.cloud.create import create
from deploymachine.cloud.each import Clock, on_each, raise_failures
from deploymachine.cloud.heal import Case, Do
from deploymachine.cloud.progress import ACTIVE, BUILD, CLOUD_INIT, EXISTS, FAILED, HEAL, REMAKE, SSH, Agree, Progress
from deploymachine.cloud.specs import BootSpec
from deploymachine.cloud.survey import Survey, survey
from deploymachine.cloud.watch import Watch, not_usable
from deploymachine.cloud.words import explained
from deploymachine.errors import CloudError
from deploymachine.hostkeys import HostKeys, locked
from deploymachine.inventory import Server
from deploymachine.settings import Settings

if TYPE_CHECKING:
    from openstack.compute.v2.server import Server as RawServer
    from openstack.connection import Connection


class Booting:
    """One boot of several servers."""

    def __init__(
        self,
        settings: Settings,
        connection: Connection,
        list_every: Callable[[], list[RawServer]],
        progress: Progress,
        agree: Agree,
        *,
        wait_for_ssh: bool,
    ) -> None:
        self.settings = settings
        self.connection = connection
        self.list_every = list_every
        self.progress = progress
        self.agree = agree
        self.wait_for_ssh = wait_for_ssh
        self.watch = Watch(settings, connection)
        self.warnings: list[str] = []
        self.found: Survey
        self.plan: plan.Plan

    def run(self, specs: Sequence[BootSpec]) -> list[Server]:
        """Every server up, in the order of `specs`. Raises CloudError that tells each failure."""
        # Two boots at once would each find the other's servers missing.
        with locked(self.settings.state / "boot.lock"):
            self.found = survey(specs, self.list_every(), self.settings, self.agree)
            self.warnings += self.found.namesakes()
            self.plan = plan.make(self.connection, self.settings, self.found, self.warnings)
            names = list(self.found.specs)
            outcomes = on_each(names, self._bring_up, self.settings.OPENSTACK_BOOT_TIMEOUT)
            raise_failures("did not come up", len(names), outcomes.errors)
            return [outcomes.results[name] for name in names]

    def _bring_up(self, name: str, clock: Clock) -> Server:
        try:
            return self._healed(self.found.specs[name], self.found.cases[name], clock)
        except Exception:
            self.progress(name, FAILED)
            raise

    def _list_new(self) -> list[RawServer]:
        """The deployment's servers that were not there when this boot began."""
        known = {raw.id for raw in self.found.ours}
        ours = (raw for raw in self.list_every() if describe.is_of(raw, self.settings.DEPLOYMENT))
        return [raw for raw in ours if raw.id not in known]

    def _healed(self, spec: BootSpec, case: Case, clock: Clock) -> Server:
        clock.check()
        if case.twins:
            if not self.found.agreed[spec.name]:
                raise heal.unhealed(case)
            kill.delete_and_wait(self.connection, case.twins, clock)
        if case.raw is None:
            return self._made(spec, clock)
        if case.do in (Do.REMAKE, Do.AWAIT_END):
            return self._remade(spec, case, case.raw, clock)
        if case.do is Do.REVIVE:
            return self._revived(spec, case, case.raw, clock)
        if case.do is Do.WAKE:
            return self._woken(spec, case.raw, clock)
        if case.do is Do.TELL:
            raise not_usable(case.raw)
        return self._kept(spec, case.raw, clock)

    def _made(self, spec: BootSpec, clock: Clock) -> Server:
        self.progress(spec.name, BUILD)
        HostKeys(self.settings).unpin(spec.name)
        server_id = create(
            self.connection,
            self.settings,
            self.plan.drafts[spec.name],
            self.plan.networks[spec.name],
            self.plan.group_ids[spec.type],
            self.plan.admin_keys,
            self._list_new,
            clock,
        )
        return self._finished(spec, server_id, clock)

    def _remade(self, spec: BootSpec, case: Case, raw: RawServer, clock: Clock) -> Server:
        if not self.found.agreed[spec.name]:
            raise heal.unhealed(case)
        self.progress(spec.name, REMAKE)
        kill.delete_and_wait(self.connection, [raw], clock)
        return self._made(spec, clock)

    def _revived(self, spec: BootSpec, case: Case, raw: RawServer, clock: Clock) -> Server:
        self.progress(spec.name, HEAL)
        try:
            heal.reboot(self.connection, raw)
            self.watch.until_active(spec.name, raw.id, clock, frozenset({"ERROR"}))
        except CloudError as error:
            if not self.found.agreed[spec.name]:
                error.hint = heal.HINT_NOT_REVIVED.format(name=spec.name)
                raise
            return self._remade(spec, case, raw, clock)
        return self._finished(spec, raw.id, clock)

    def _woken(self, spec: BootSpec, raw: RawServer, clock: Clock) -> Server:
        self.progress(spec.name, HEAL)
        heal.wake(self.connection, raw)
        return self._finished(spec, raw.id, clock, frozenset({raw.status}))

    def _kept(self, spec: BootSpec, raw: RawServer, clock: Clock) -> Server:
        if raw.status != "ACTIVE" or raw.task_state is not None:
            self.progress(raw.name, BUILD)
            return self._finished(spec, raw.id, clock)
        server = self._mended(spec, raw, clock)
        if not self.wait_for_ssh or banner.answering_port(server.address, self.watch.ports):
            self.progress(raw.name, EXISTS)
            return server
        return self._finished(spec, raw.id, clock)

    def _finished(
        self, spec: BootSpec, server_id: str, clock: Clock, from_states: frozenset[str] = frozenset()
    ) -> Server:
        raw = self.watch.until_active(spec.name, server_id, clock, from_states)
        self.progress(spec.name, ACTIVE)
        server = self._mended(spec, raw, clock)
        if self.wait_for_ssh:
            port = self.watch.until_ssh(server, clock)
            self.progress(spec.name, CLOUD_INIT)
            self.warnings += cloudinit.until_done(server, port, self.settings, clock)
            self.progress(spec.name, SSH)
        return server

    def _mended(self, spec: BootSpec, raw: RawServer, clock: Clock) -> Server:
        """The running server with its ports, groups, addresses and volumes, its host key pinned where we log in."""
        if not any((raw.addresses or {}).values()):
            raw = self._replugged(spec, raw, clock)
        with explained(f"{raw.name} can't be put into its security groups", raw.id):
            groups.mend(self.connection, self.settings, raw, self.plan.group_ids)
        server = describe.server(raw, self.settings.private_network, {})
        if self.plan.pool is not None and not server.public_ip:
            server = self._floating(spec, server, self.plan.pool.id, clock)
        if not server.address:
            hint = "check the network's subnet; then kill and boot it again"
            raise CloudError(f"{server.name} is ACTIVE but has no address", hint=hint)
        self.warnings += hostkeys.pin_missing(self.settings, [server])
        self.warnings += volumes.attach(self.connection, self.settings, raw, spec.data_volumes, clock)
        return server

    def _replugged(self, spec: BootSpec, raw: RawServer, clock: Clock) -> RawServer:
        networks = self.plan.networks.get(spec.name) or plan.networks_of(self.connection, self.settings, spec)
        if heal.replug(self.connection, raw, [str(network.id) for network in networks]):
            with explained(f"{raw.name} can't be put into its security groups", raw.id):
                groups.join(self.connection, raw.id, self.plan.group_ids[spec.type])
        return self.watch.until_addressed(raw, clock)

    def _floating(self, spec: BootSpec, server: Server, pool_id: str, clock: Clock) -> Server:
        mark = floating.owner_mark(self.settings.DEPLOYMENT, server.name)
        network_id = str(self.plan.networks[spec.name][0].id)
        public = floating.ensure(self.connection, pool_id, network_id, server.id, mark, self.found.names)
        server = describe.with_public_ip(server, public)
        self.watch.until_listed(server, clock)
        return server
