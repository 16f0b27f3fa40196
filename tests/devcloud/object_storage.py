"""Object storage as S3 speaks it, in memory, over TLS: as much of it as backups need, for one access key."""

from __future__ import annotations

import hashlib
import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


class Handler(BaseHTTPRequestHandler):
    """Path style: /BUCKET/KEY. Who does not name the access key is refused; signatures are not worked out."""

    protocol_version = "HTTP/1.1"
    objects: dict[str, bytes]
    parts: dict[str, dict[int, bytes]]
    access_key: str

    def do_GET(self) -> None:
        if "list-type" in self.query:
            self.answer(200, self.listing().encode())
        elif self.name in self.objects:
            self.answer(*self.ranged(self.objects[self.name]))
        else:
            self.answer(404)

    def do_HEAD(self) -> None:
        found = self.objects.get(self.name)
        self.answer(404 if found is None else 200, found or b"", body=False)

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if "uploadId" in self.query:
            self.parts[self.query["uploadId"][0]][int(self.query["partNumber"][0])] = data
        else:
            self.objects[self.name] = data
        self.answer(200, etag=hashlib.md5(data).hexdigest())  # noqa: S324 - what S3 calls an ETag

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        if "delete" in self.query:
            for key in re.findall("<Key>(.*?)</Key>", body):
                self.objects.pop(f"{self.bucket}/{key.lstrip('/')}", None)
            self.answer(200, b"<DeleteResult/>")
        elif "uploads" in self.query:
            number = str(len(self.parts) + 1)
            self.parts[number] = {}
            self.answer(200, f"<R><UploadId>{number}</UploadId></R>".encode())
        else:
            parts = self.parts.pop(self.query["uploadId"][0])
            self.objects[self.name] = b"".join(parts[number] for number in sorted(parts))
            self.answer(200, b"<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>")

    def do_DELETE(self) -> None:
        self.objects.pop(self.name, None)
        self.answer(204)

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.path).query, keep_blank_values=True)

    @property
    def name(self) -> str:
        return unquote(urlsplit(self.path).path).lstrip("/")

    @property
    def bucket(self) -> str:
        return self.name.partition("/")[0]

    def ranged(self, data: bytes) -> tuple[int, bytes]:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if asked is None:
            return 200, data
        return 206, data[int(asked[1]) : int(asked[2]) + 1 if asked[2] else None]

    def listing(self) -> str:
        prefix, delimiter = self.query.get("prefix", [""])[0], self.query.get("delimiter", [""])[0]
        start = f"{self.bucket}/"
        names = sorted(key[len(start) :] for key in self.objects if key.startswith(start + prefix))
        found, folders = [], set()
        for name in names:
            rest = name[len(prefix) :]
            if delimiter and delimiter in rest:
                folders.add(prefix + rest.partition(delimiter)[0] + delimiter)
            else:
                size = len(self.objects[start + name])
                when = "<LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                found.append(f"<Contents><Key>{escape(name)}</Key>{when}<Size>{size}</Size></Contents>")
        below = "".join(f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in sorted(folders))
        return f"<ListBucketResult><IsTruncated>false</IsTruncated>{''.join(found)}{below}</ListBucketResult>"

    def answer(self, code: int, data: bytes = b"", *, body: bool = True, etag: str = "e") -> None:
        if f"Credential={self.access_key}/" not in (self.headers.get("Authorization") or ""):
            code, data = 403, b"<Error><Code>InvalidAccessKeyId</Code></Error>"
        self.send_response(code)
        self.send_header("ETag", f'"{etag}"')
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        if code != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body and code != 204:
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing to standard error."""


@contextmanager
def object_storage(address: str, certificate: Path, access_key: str) -> Iterator[tuple[int, dict[str, bytes]]]:
    """Serve at an address with a PEM file of certificate and key: (port, "BUCKET/KEY" -> what is stored)."""
    objects: dict[str, bytes] = {}
    state = {"objects": objects, "parts": {}, "access_key": access_key}
    server = ThreadingHTTPServer((address, 0), type("Bound", (Handler,), state))
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1], objects
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
