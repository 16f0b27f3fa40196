"""Sites in; how much lies in what their releases share, and the same files on another server out.

request: "action", "sites" ([{"name", "user", "root"}]; with "folder" that one, and not what releases share), and
    measure  nothing more. Changes nothing
    offer    "peer" {"name", "address"}, "listen" {"address", "port"}, "identity", "patience": that server and no other
             gets the files, over TLS, each side known by the deployment's own authority
    take     "peer" {"name", "address", "port"}, "identity", "patience", "mirror": whether what is not there goes here,
             and "dry": only tell what is not as there
rsync runs at both ends as the site's own user. The key that proves who this server is lies in a file for the moment in
which it is read; the port is open to that one address only, and the kernel closes it when nobody does.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
from contextlib import contextmanager, suppress
from typing import Any, Callable, Dict, Iterator, List, Mapping, Sequence

from kokki.secrets import reveal
from piping import pump
from release.account import Account
from release.steps import Steps
from release.values import Failure

Request = Mapping[str, Any]
Result = Dict[str, Any]
# What cooks and releases write there themselves, and what is only about this server.
OURS = ("env", "run", "gunicorn.conf.py", "__pycache__", "static", "celerybeat-schedule*")
PARTIAL = ".deploymachine-partial"
WAIT = 60.0  # seconds without anybody who takes, after which nothing is offered any more
LONGEST_LINE = 1 << 14
DONE = b'{"done": true}\n'
HINT = "run the same command again: what has arrived is not sent twice"
# rsync's "remote shell": it says first what the other end is to run, then passes everything on, both ways at once.
RELAY = """import json,os,socket,sys,threading
os.set_blocking(0,True)
os.set_blocking(1,True)
s=socket.socket(fileno=int(sys.argv[1]))
s.sendall(json.dumps({"site":sys.argv[2],"argv":sys.argv[4:]}).encode()+b"\\n")
def up():
  while True:
    d=sys.stdin.buffer.raw.read(65536)
    if not d: break
    s.sendall(d)
  s.shutdown(socket.SHUT_WR)
threading.Thread(target=up,daemon=True).start()
while True:
  d=s.recv(65536)
  if not d: break
  sys.stdout.buffer.write(d)
  sys.stdout.buffer.flush()
"""


def main(request: Request, emit: Callable[[Dict[str, Any]], None]) -> int:
    """Do what request["action"] says. Returns 0, or 1 after a failure event that tells why."""
    steps, asked = Steps(emit), reveal(dict(request))
    try:
        result = {"measure": _measure, "offer": _offer, "take": _take}[asked["action"]](asked, steps)
    except (Failure, OSError) as error:
        steps.failure(error if isinstance(error, Failure) else Failure.of(error, "The files can't be moved"))
        steps.done("failed", {})
        return 1
    steps.done("ok", result)
    return 0


def _measure(request: Request, _steps: Steps) -> Result:
    return {"sites": {site["name"]: measured(_shared(site)) for site in request["sites"]}}


def measured(folder: str) -> Dict[str, int]:
    """{"files", "bytes"} of what would be sent; none where there is no such folder."""
    from fnmatch import fnmatch

    found = {"files": 0, "bytes": 0}
    for path, folders, names in os.walk(folder):
        if path == folder:
            folders[:] = [name for name in folders if not any(fnmatch(name, one) for one in OURS)]
            names = [name for name in names if not any(fnmatch(name, one) for one in OURS)]
        folders[:] = [name for name in folders if name != PARTIAL]
        for name in names:
            with suppress(FileNotFoundError):
                found["bytes"] += os.lstat(os.path.join(path, name)).st_size
                found["files"] += 1
    return found


def _shared(site: Mapping[str, str]) -> str:
    return site.get("folder") or f"{site['root']}/shared"


def _offer(request: Request, steps: Steps) -> Result:
    peer, listen = request["peer"], request["listen"]
    sites = {site["name"]: site for site in request["sites"]}
    family = socket.AF_INET6 if ":" in listen["address"] else socket.AF_INET
    context = _context(ssl.PROTOCOL_TLS_SERVER, request["identity"])
    allowed = _opened(peer["address"], listen["port"], float(request["patience"]))
    with socket.create_server((listen["address"], listen["port"]), family=family) as door, allowed:
        door.settimeout(WAIT)
        steps.emit({"event": "offering"})
        _serve(door, context, peer["name"], sites)
    return {}


def _serve(door: socket.socket, context: ssl.SSLContext, peer: str, sites: Mapping[str, Any]) -> None:
    while True:
        try:
            plain, _address = door.accept()
        except OSError:
            return  # whoever wanted them is gone, and says so himself
        # Whoever is not let in, or goes in the middle of it, tells so himself; the others are not kept from coming.
        with plain, suppress(OSError, ValueError, LookupError, TypeError):
            plain.settimeout(WAIT)
            with context.wrap_socket(plain, server_side=True) as asks:
                if _common_name(asks) == peer and not _answer(asks, sites):
                    return


def _answer(asks: ssl.SSLSocket, sites: Mapping[str, Any]) -> bool:
    """Send what one connection asks for; False where it says that it has everything."""
    line = _line(asks)
    if line == DONE:
        return False
    wanted = json.loads(line)
    site, argv = sites[wanted["site"]], wanted["argv"]
    if argv[:3] != ["rsync", "--server", "--sender"] or argv[-2:] != [".", "./"]:
        raise ValueError("that is not rsync asking for the files")
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            sender = _begun(argv, site, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL)
        try:
            pump(asks, ours)
        finally:
            sender.kill()
            sender.wait()
    return True


def _line(stream: ssl.SSLSocket) -> bytes:
    """The first line, and nothing of what comes after it."""
    line = b""
    while not line.endswith(b"\n") and len(line) < LONGEST_LINE:
        byte = stream.recv(1)
        if not byte:
            break
        line += byte
    return line


def _take(request: Request, steps: Steps) -> Result:
    context = _context(ssl.PROTOCOL_TLS_CLIENT, request["identity"])
    found = {}
    for site in request["sites"]:
        if "folder" in site:
            os.makedirs(site["folder"], mode=0o700, exist_ok=True)
        with steps.step(f"files of {site['name']}") as step:
            told = _fetch(site, request, context)
            found[site["name"]] = told
            if told["sent"] and not request.get("dry"):
                step.changed(f"{told['sent']} files, {told['bytes']} bytes")
    with suppress(OSError), _connected(request, context) as stream:
        stream.sendall(DONE)
    return {"sites": found}


def _fetch(site: Mapping[str, str], request: Request, context: ssl.SSLContext) -> Dict[str, int]:
    """One site's files; {"sent", "gone", "bytes"}. Raises Failure with rsync's last words."""
    ours, theirs = socket.socketpair()
    with tempfile.TemporaryFile() as output, ours, _connected(request, context) as stream:
        with theirs:
            descriptor = theirs.fileno()
            words, said = _rsync(site, request, descriptor), {"stdout": output, "stderr": subprocess.STDOUT}
            receiver = _begun(words, site, stdin=subprocess.DEVNULL, pass_fds=[descriptor], **said)
        try:
            pump(stream, ours)
            with suppress(subprocess.TimeoutExpired):
                receiver.wait(WAIT)
        finally:
            receiver.kill()
            receiver.wait()
        output.seek(0)
        lines = output.read().decode(errors="replace").splitlines()
    if receiver.returncode:
        why = f"rsync ended with {receiver.returncode}"
        raise Failure(f"The files of {site['name']} did not all arrive", why=why, output=lines[-8:], hint=HINT)
    return counted(lines)


def _rsync(site: Mapping[str, str], request: Request, descriptor: int) -> List[str]:
    shell = f"{sys.executable} -I -S -c '{RELAY}' {descriptor} {site['name']}"
    words = ["rsync", "-rlptH", "--update", f"--partial-dir={PARTIAL}", "--timeout=60", "--out-format=%i %l"]
    words += [f"--exclude=/{name}" for name in OURS]
    words += ["--delete-after"] if request.get("mirror") else []
    words += ["--dry-run"] if request.get("dry") else []
    return [*words, "-e", shell, f"{request['peer']['name']}:./", "./"]


def counted(lines: Sequence[str]) -> Dict[str, int]:
    """What rsync said of each thing that it changed: ">f+++++++++ 1234", "*deleting 0", "cd+++++++++ 4096"."""
    sent = [line.split() for line in lines if line.startswith((">f", "cL", "hf"))]
    gone = [line for line in lines if line.startswith("*deleting")]
    return {"sent": len(sent), "gone": len(gone), "bytes": sum(int(words[1]) for words in sent)}


@contextmanager
def _connected(request: Request, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    peer = request["peer"]
    try:
        plain = socket.create_connection((peer["address"], peer["port"]), 10)
    except OSError as error:
        why = f"port {peer['port']} there: {error.strerror or error}"
        hint = "a firewall between them has to let it pass; " + HINT
        raise Failure(f"{peer['name']} can't be reached over the private network", why=why, hint=hint) from None
    with plain, context.wrap_socket(plain, server_hostname=peer["name"]) as stream:
        yield stream


def _context(protocol: int, identity: Mapping[str, str]) -> ssl.SSLContext:
    """TLS 1.3 with this server's certificate; only who has one of the same authority is spoken to."""
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=str(identity["authority"]))
    # From a path alone it can be read: one in memory, which is gone at once.
    with tempfile.NamedTemporaryFile("w", dir="/dev/shm") as file:
        file.write(str(identity["certificate"]) + str.__str__(identity["key"]))
        file.flush()
        context.load_cert_chain(file.name)
    return context


def _common_name(stream: ssl.SSLSocket) -> str:
    told: Any = stream.getpeercert() or {}
    names = [value for part in told.get("subject", ()) for key, value in part if key == "commonName"]
    return str(names[0]) if names else ""


@contextmanager
def _opened(address: str, port: int, seconds: float) -> Iterator[None]:
    """Let one address in at one port for a while: the set is the firewall's own, and forgets by itself."""
    element = f"{address} . tcp . {port}"
    name = "opened6" if ":" in address else "opened4"
    _nft("add", name, f"{element} timeout {max(10, int(seconds))}s")
    try:
        yield
    finally:
        with suppress(Failure):
            _nft("delete", name, element)


def _nft(verb: str, name: str, element: str) -> None:
    words = ["nft", verb, "element", "inet", "deploymachine", name, f"{{ {element} }}"]
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode:
        said = done.stdout.decode(errors="replace").splitlines()
        raise Failure("The firewall can't be opened for the files", output=said, hint="cook the server first")


def _begun(argv: Sequence[str], site: Mapping[str, str], **streams: Any) -> subprocess.Popen[bytes]:
    """A process of the site's own user, in what its releases share."""
    account = Account.named(site["user"])
    who = {**account.child(), "extra_groups": []} if account.drop else {}
    environment = {"PATH": os.defpath, "LANG": "C.UTF-8", "HOME": site["root"]}
    return subprocess.Popen(list(argv), cwd=_shared(site), env=environment, **streams, **who)
