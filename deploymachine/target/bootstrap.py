"""Read on stdin by a bare python3 on the server: a header line and a request in, the bundle's agent running out.

The control side sends this file's text, one header line {"bundle", "request", "attachment"} and the request; the last
two are lengths in bytes. The first line of the answer says {"event": "ready"}, or {"event": "bundle-wanted"} where the
bundle of that hash is not there yet; then its length in a line and itself are sent, and after it the attachment.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from typing import BinaryIO

HOME = os.environ.get("DEPLOYMACHINE_HOME", "/var/lib/deploymachine")
KEPT_BUNDLES = 3


def read(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise SystemExit("the connection ended before everything was sent")
    return data


def unpack(data: bytes, target: str) -> None:
    """Unpack and byte-compile beside `target`, then rename: a killed unpacking leaves nothing that looks whole."""
    import compileall
    import io
    import shutil
    import tarfile
    import tempfile

    os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
    half = tempfile.mkdtemp(prefix=".unpacking-", dir=os.path.dirname(target))
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            if hasattr(tarfile, "data_filter"):
                tar.extraction_filter = tarfile.data_filter
            tar.extractall(half)  # noqa: S202 (made by our own control side, over an authenticated connection)
        compileall.compile_dir(half, quiet=2, ddir=target)
        os.rename(half, target)
    except OSError:
        if not os.path.isdir(target):
            raise
    finally:
        shutil.rmtree(half, ignore_errors=True)


def prune(home: str, keep: str) -> None:
    import shutil

    paths = [os.path.join(home, name) for name in os.listdir(home)]
    for path in sorted(paths, key=os.path.getmtime)[:-KEPT_BUNDLES]:
        if path != keep:
            shutil.rmtree(path, ignore_errors=True)


def main() -> None:
    gc.set_threshold(100_000)  # importing makes tens of thousands of objects that stay: looking for garbage is wasted
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    header = json.loads(stdin.readline())
    request = json.loads(read(stdin, header["request"]))
    bundles = os.path.join(HOME, "bundles")
    target = os.path.join(bundles, header["bundle"])
    wanted = not os.path.isdir(target)
    stdout.write(b'{"event": "bundle-wanted"}\n' if wanted else b'{"event": "ready"}\n')
    stdout.flush()
    if wanted:
        unpack(read(stdin, int(stdin.readline())), target)
        prune(bundles, target)
    sys.path.insert(0, target)
    import agent

    sys.exit(agent.run(request, stdin, header["attachment"]))


main()
