"""A log file in, its lines out, and later those that came since: also where it was rotated or cut meanwhile."""

from __future__ import annotations

import os
from typing import BinaryIO, Callable, Iterator, Optional

NEAR = 1 << 16  # bytes; nearer than this to what is looked for, reading on is quicker
LOOKED_AT = 500  # lines, for one that tells its time
IsLate = Callable[[str], Optional[bool]]


class Tail:
    """One file, of which complete lines are read only."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._file: Optional[BinaryIO] = None

    def skip_to(self, is_late: IsLate) -> None:
        """Begin not long before the first line that is late enough; the file's lines are in order.

        is_late: None where a line does not tell.
        """
        if self._file is None and not self._open():
            return
        assert self._file is not None  # noqa: S101 (just opened)
        low, high = 0, os.fstat(self._file.fileno()).st_size
        while high - low > NEAR:
            middle = (low + high) // 2
            self._file.seek(middle)
            self._file.readline()  # of which we have only the end
            if _is_late_here(self._file, is_late):
                high = middle
            else:
                low = middle
        self._file.seek(low)
        if low:
            self._file.readline()

    def lines(self) -> Iterator[str]:
        """Those not read yet; of a file that another one has replaced, first what is left of the old one."""
        if self._file is None and not self._open():
            return
        yield from self._rest()
        if self._is_another() and self._open():
            yield from self._rest()

    def _rest(self) -> Iterator[str]:
        file = self._file
        assert file is not None  # noqa: S101 (`lines` has opened it)
        if os.fstat(file.fileno()).st_size < file.tell():
            file.seek(0)
        while True:
            place = file.tell()
            line = file.readline()
            if not line.endswith(b"\n"):  # its end is still to come
                file.seek(place)
                return
            yield _text(line)

    def _is_another(self) -> bool:
        assert self._file is not None  # noqa: S101 (`lines` has opened it)
        try:
            return os.stat(self.path).st_ino != os.fstat(self._file.fileno()).st_ino
        except OSError:
            return False

    def _open(self) -> bool:
        self.close()
        try:
            self._file = open(self.path, "rb")  # noqa: SIM115 (kept for what is still to come)
        except OSError:
            return False
        return True

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _is_late_here(file: BinaryIO, is_late: IsLate) -> bool:
    told = (is_late(_text(file.readline())) for _ in range(LOOKED_AT))
    return next((answer for answer in told if answer is not None), False)


def _text(line: bytes) -> str:
    return line.rstrip(b"\r\n").decode(errors="replace")
