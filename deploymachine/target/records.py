"""Events of a run in, lines of the system's own log out: what it changed, what failed, and how it ended."""

from __future__ import annotations

from typing import Any, Callable, Dict, Optional

Event = Dict[str, Any]
RECORDED = {"cook", "release"}
SHOWN = {"changed", "failed"}


def recorder(request: Event) -> Callable[[Event], None]:
    """What tells the log of each event of this request; of a dry run, and of what only asks, nothing."""
    if request.get("command") not in RECORDED or request.get("dry_run"):
        return lambda _event: None
    return _record


def _record(event: Event) -> None:
    text = sentence(event)
    if text is not None:
        import syslog

        failed = event["event"] == "failure" or event.get("state") == "failed"
        syslog.openlog("kokki", syslog.LOG_PID, syslog.LOG_DAEMON)
        syslog.syslog(syslog.LOG_ERR if failed else syslog.LOG_INFO, text)


def sentence(event: Event) -> Optional[str]:
    """The line for an event; None for those that change nothing. Contents (diffs, outputs) are left out."""
    kind, state = event["event"], event.get("state")
    if kind == "run-done":
        totals = ", ".join(f"{count} {name}" for name, count in event["totals"].items() if count)
        return f"run ended: {state}" + (f" ({totals})" if totals else "") + f" in {event['ms'] / 1000:.1f} s"
    if kind == "failure":
        return ": ".join(str(event[key]) for key in ("what", "where", "why") if event.get(key))
    if kind not in {"resource-done", "step-done"} or state not in SHOWN:
        return None
    what = f"{event['type']}[{event['name']}]" if kind == "resource-done" else f"step {event['step']}"
    error = (event.get("error") or {}).get("message")
    details = error or "; ".join(event.get("changes") or ()) or event.get("detail")
    return f"{what} {state}" + (f": {details}" if details else "")
