"""Two appnodes of a test: each tells what it heard, one dies at /dies, both echo to a WebSocket. Run until killed."""

import socketserver
import sys
import threading
from pathlib import Path


class Node(socketserver.StreamRequestHandler):
    """One connection, one request."""

    def handle(self) -> None:
        head = []
        while (line := self.rfile.readline().strip()) != b"":
            head.append(line.decode())
        length = next((int(line.split(":")[1]) for line in head if line.lower().startswith("content-length:")), 0)
        self.rfile.read(length)
        number = self.server.server_address[1]
        with Path(f"/tmp/node-{number}").open("a", encoding="utf-8") as log:  # noqa: S108 (on a machine of its own)
            log.write(head[0] + "\n")
        if "/dies" in head[0]:
            if number == 8000:
                return
            self.answer(b"alive")
        elif "Upgrade: websocket" in head:
            self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
            self.wfile.write(b"echo " + self.request.recv(100))
        else:
            self.answer("\n".join(head).encode())

    def answer(self, body: bytes) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


socketserver.ThreadingTCPServer.allow_reuse_address = True
for port in map(int, sys.argv[1:]):
    threading.Thread(target=socketserver.ThreadingTCPServer(("127.0.0.1", port), Node).serve_forever).start()
