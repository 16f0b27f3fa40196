"""Events in, JSON lines on a stream out: steps that change nothing are gathered for a moment, all else goes at once."""

from __future__ import annotations

import json
from threading import Lock, Timer
from typing import Any, Callable, Dict, Optional, TextIO

from kokki import secrets

Event = Dict[str, Any]

MOMENT = 0.03  # seconds that one of these waits for others


class Sender:
    """Called with an event: nothing secret of it is written. record: is given the same."""

    def __init__(self, stream: TextIO, record: Callable[[Event], None]) -> None:
        self.stream, self.record = stream, record
        self.lock = Lock()
        self.timer: Optional[Timer] = None
        self.gone: Optional[OSError] = None

    def __call__(self, event: Event) -> None:
        """Raises OSError where nobody reads any more: the connection was cut."""
        if self.gone is not None:
            raise self.gone
        shown = _redacted(event)
        self.record(shown)
        line = json.dumps(shown, ensure_ascii=False) + "\n"
        with self.lock:
            self.stream.write(line)
            if not _one_of_hundreds(shown):
                self.stream.flush()
            elif self.timer is None:
                self.timer = Timer(MOMENT, self._flush)
                self.timer.daemon = True
                self.timer.start()

    def close(self) -> None:
        """Send what is left, and end what would have sent it."""
        if self.timer is not None:
            self.timer.cancel()
        self._flush()

    def _flush(self) -> None:
        with self.lock:
            self.timer = None
            try:
                self.stream.flush()
            except OSError as error:
                self.gone = error


def _one_of_hundreds(event: Event) -> bool:
    """A packet for many of these, not one each. Whether a step that changed something is still heard is known at once:
    where it is not, the next one does not begin."""
    return event["event"] == "resource-begun" or (event["event"], event.get("state")) == ("resource-done", "ok")


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return secrets.redact(value)
    if isinstance(value, dict):
        return {key: _redacted(item) for key, item in value.items()}
    return [_redacted(item) for item in value] if isinstance(value, (list, tuple)) else value
