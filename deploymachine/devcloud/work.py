"""Functions go in; they run in the background, one at a time for each id, and a failure is told of."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from deploymachine.devcloud.state import Refused
from deploymachine.errors import DevcloudError

THREADS = 4


class Work:
    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="machine")
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def later(self, identity: str, work: Callable[[str], object], failed: Callable[[str, str], object]) -> Future[None]:
        """work, failed: called with the id; failed with the reason, too."""

        def one_at_a_time() -> None:
            with self._locks[identity]:
                try:
                    work(identity)
                except Refused:  # deleted meanwhile
                    return
                except DevcloudError as error:
                    failed(identity, "\n".join([str(error), *error.evidence]))
                except Exception as error:
                    failed(identity, str(error))
                    raise

        return self._pool.submit(one_at_a_time)
