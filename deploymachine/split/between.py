"""A deployment as settings.py and the cloud tell it in; as every task has to see it while a change is under way, out.

So a cook or a launch by hand in the middle of a split does what the split itself would do at that point: it tears no
replica from its primary, and sends no visitor to a server that has not taken over.
"""

from __future__ import annotations

from deploymachine.servertypes import Deployment
from deploymachine.split import journal as journals
from deploymachine.split import steps
from deploymachine.split.journal import BACK, DONE, Journal
from deploymachine.split.states import AFTER, BEFORE, DURING, deployment_in


def between(deployment: Deployment) -> Deployment:
    """The same deployment where nothing is under way. Raises UsageError for a journal that can't be read."""
    there = journals.read(deployment.settings)
    return deployment if there is None else deployment_in(stage(there), there.change, deployment, there.switched)


def stage(there: Journal) -> str:
    """BEFORE, DURING or AFTER: how far it is, or how far back."""
    begun = {*there.done, there.now}
    if there.state == DONE or (steps.SETTLE in begun and there.state != BACK):
        return AFTER
    change = there.change
    first = steps.BOOT if change.newcomers else steps.PROVISION if change.joining else steps.GROW
    joined = first in there.done and (there.state != BACK or begun & {steps.JOIN, steps.COPY})
    return DURING if joined or there.switched else BEFORE
