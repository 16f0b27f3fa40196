"""A server's worth of real parts for the tests: a git repository, a small site, a supervisor, a stand-in for uv."""

import json
import os
import pwd
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from pathlib import Path
from xmlrpc.client import Fault
from xmlrpc.server import SimpleXMLRPCDispatcher, SimpleXMLRPCRequestHandler

import release

# Only what needs a network is not the real thing: the virtualenv is one, what is "installed" is a file in it.
UV = """#!{python}
import os, pathlib, subprocess, sys, venv
arguments = sys.argv[1:]
with open({log!r}, "a") as log:
    log.write(" ".join(arguments) + "\\n")
if arguments[0] == "venv":
    venv.create(arguments[-1], with_pip=False, symlinks=True)
elif "-r" in arguments and "compiled" in pathlib.Path(arguments[arguments.index("-r") + 1]).read_text():
    places = os.environ.get("UV_FIND_LINKS", "").split(",")
    found = any(os.path.exists(place + "/c-1-py3-none-any.whl") for place in places)
    cache = pathlib.Path(os.environ["UV_CACHE_DIR"]) / "sdists-v9" / "pypi" / "c" / "1" / "abc"
    with open({log!r}, "a") as log:
        log.write("found\\n" if found else "compiled\\n")
    if not found:
        cache.mkdir(parents=True)
        (cache / "c-1-py3-none-any.whl").write_text("a wheel")
elif arguments[0] == "export":
    pathlib.Path(arguments[-1]).write_text("django==5.2\\n")
elif "-r" in arguments:
    text = pathlib.Path(arguments[arguments.index("-r") + 1]).read_text()
    if "no-such-package" in text:
        print("Resolving", file=sys.stderr)
        sys.exit("error: no-such-package was not found in the package registry")
    if "die-half-way" in text and not os.path.exists({log!r} + ".died"):
        open({log!r} + ".died", "w").close()
        os.kill(os.getpid(), 9)
"""

# As gunicorn does: the master holds the socket; HUP starts a worker on the code of now, then ends the old one.
MASTER = """
import os, signal, socket, subprocess, sys
root, port = sys.argv[1], int(sys.argv[2])
listener = socket.create_server(("127.0.0.1", port))
listener.set_inheritable(True)
signals = {signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
def worker():
    code = "import signal; signal.pthread_sigmask(signal.SIG_SETMASK, ()); import app; app.serve(%d)"
    program = [root + "/current/.venv/bin/python", "-c", code % listener.fileno()]
    return subprocess.Popen(program, cwd=root + "/current/" + sys.argv[3], close_fds=False)
now = worker()
while True:
    received = signal.sigwait(signals)
    if received == signal.SIGHUP:
        old, now = now, worker()
        old.terminate()
        old.wait()
    elif received == signal.SIGTERM:
        now.kill()
        sys.exit(0)
    elif now.poll() == 3:
        print("the worker did not boot", flush=True)
        sys.exit(3)
"""

APP = """
import http.server, os, socket, sys
WORD = {word!r}
STATUS = {status}
application = object()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        wanted = (self.path, self.headers["Host"], self.headers["X-Forwarded-Proto"])
        good = wanted == ("/healthz", "site.example", "https")
        self.send_response(STATUS if good else 400)
        self.end_headers()
        self.wfile.write((WORD if good else repr(wanted)).encode())
    def log_message(self, *arguments):
        print("asked", WORD, flush=True)
def serve(descriptor):
    if STATUS == 0:
        print("no database here", os.environ.get("TOKEN"), flush=True)
        sys.exit(3)
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
    server.socket = socket.socket(fileno=descriptor)
    server.serve_forever()
"""

# Speaks Django's words: a migration is a file, the database is one too.
MANAGE = """
import os, pathlib, shutil, sys
command, here = sys.argv[1], pathlib.Path(__file__).parent
database = pathlib.Path(os.environ["DATABASE"])
applied = database.read_text().split() if database.exists() else []
migrations = sorted(path.name for path in here.glob("migrations/*"))
with open(os.environ["DATABASE"] + ".commands", "a") as log:
    log.write(command + "\\n")
if command == "check":
    if (here / "check-fails").exists():
        sys.exit("SystemCheckError: System check identified some issues: (site.E001) no")
elif command == "collectstatic":
    if not (here / "assets").exists():
        sys.exit("Unknown command: 'collectstatic'")
    if (here / "assets" / "missing").exists():
        sys.exit("ValueError: The file 'logo.png' could not be found; password was " + os.environ["TOKEN"])
    shutil.copytree(here / "assets", here / "collected", dirs_exist_ok=True)
    print("1 static file copied to 'collected'.")
elif command == "showmigrations":
    for name in migrations:
        print("[X]" if name in applied else "[ ]", " site." + name)
elif command == "migrate":
    for name in migrations:
        if name not in applied:
            if "fail" in (here / "migrations" / name).read_text():
                print("Applying site." + name + "...")
                sys.exit("django.db.utils.ProgrammingError: column \\"name\\" does not exist")
            if "hang" in (here / "migrations" / name).read_text():
                import signal
                pathlib.Path(os.environ["DATABASE"] + ".hanging").write_text(str(os.getpid()))
                signal.pause()
            database.write_text(database.read_text() + name + "\\n" if database.exists() else name + "\\n")
"""
IDENTITY = {
    "GIT_AUTHOR_NAME": "t",
    "GIT_AUTHOR_EMAIL": "t@example.org",
    "GIT_COMMITTER_NAME": "t",
    "GIT_COMMITTER_EMAIL": "t@example.org",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
}


class Repository:
    """A git repository of a small site; every commit is made of files given by name."""

    def __init__(self, path, directory=""):
        self.path = path
        self.directory = directory
        path.mkdir(parents=True)
        self.git("init", "--quiet", "-b", "main")

    def git(self, *arguments):
        argv = ["git", "-C", str(self.path), *arguments]
        return subprocess.run(
            argv, env={**os.environ, **IDENTITY}, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self, word="one", *, status=200, requirements="django\n", files=None):
        """Commit a site that answers `word` with `status` (0: it does not even start). Returns the sha."""
        site = {"manage.py": MANAGE, "app.py": APP.format(word=word, status=status), "requirements.txt": requirements}
        for name, text in {**site, **(files or {})}.items():
            path = self.path / self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.git("add", "-A")
        self.git("commit", "--quiet", "--allow-empty", "-m", word)
        return self.git("rev-parse", "HEAD")


class Supervisor:
    """supervisor's XML-RPC over a real socket; its programs are real processes."""

    def __init__(self, path, log):
        self.path = str(path)
        self.log = log
        self.programs = {}
        self.running = {}
        self.calls = []
        self.server = _Server(self.path, self)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self):
        for name in self.programs:
            if name in self.running:
                self.stop(name)
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def stop(self, name):
        process = self.running.pop(name)
        process.terminate()
        process.wait()

    def dispatch(self, method, arguments):
        action, name = method.rpartition(".")[2], arguments[0]
        self.calls.append(action)
        if name not in self.programs:
            raise Fault(10, f"BAD_NAME: {name}")
        process = self.running.get(name)
        if action == "getProcessInfo":
            ended = {None: "RUNNING", 0: "EXITED"}
            state = "STOPPED" if process is None else ended.get(process.poll(), "FATAL")
            return {"statename": state, "pid": process.pid if process else 0, "spawnerr": ""}
        if action == "startProcess":
            with self.log.open("a") as log:
                self.running[name] = subprocess.Popen(self.programs[name](), stdout=log, stderr=subprocess.STDOUT)
        elif action == "stopProcess":
            if process is None:
                raise Fault(70, f"NOT_RUNNING: {name}")
            self.stop(name)
        elif action == "signalProcess":
            process.send_signal(getattr(signal, f"SIG{arguments[1]}"))
        elif action == "readProcessStdoutLog":
            return self.log.read_text()[arguments[1] :] if self.log.exists() else ""
        else:
            raise Fault(1, f"UNKNOWN_METHOD {method}")
        return True


class _Handler(SimpleXMLRPCRequestHandler):
    rpc_paths = ("/RPC2",)
    disable_nagle_algorithm = False

    def log_request(self, code="-", size="-"):
        pass

    def address_string(self):
        return "socket"


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer, SimpleXMLRPCDispatcher):
    daemon_threads = True

    def __init__(self, path, supervisor):
        SimpleXMLRPCDispatcher.__init__(self, allow_none=True)
        socketserver.UnixStreamServer.__init__(self, path, _Handler)
        self.supervisor = supervisor

    def _dispatch(self, method, params):
        return self.supervisor.dispatch(method, params)


class Machine:
    """One server: its site's root, its supervisor, and release.main behind `ask`."""

    def __init__(self, path, name="appnode1", directory=""):
        self.path = path / name
        self.name = name
        self.root = self.path / "site"
        (self.root / "shared").mkdir(parents=True)
        self.port = _free_port()
        self.events = []
        self.uv_log = self.path / "uv.log"
        self.database = path / "database"
        self.master = self.path / "master.py"
        self.master.write_text(MASTER)
        uv = self.path / "uv"
        uv.write_text(UV.format(python=sys.executable, log=str(self.uv_log)))
        uv.chmod(0o755)
        (self.root / "shared" / "env").write_text(f"DATABASE='{self.database}'\nTOKEN='s3cret value'\n")
        self.supervisor = Supervisor(self.path / "s", self.path / "log")
        self.supervisor.programs["site-blog"] = lambda: [
            "env",
            "TOKEN=s3cret value",
            sys.executable,
            str(self.master),
            str(self.root),
            str(self.port),
            self.site["directory"],
        ]
        self.site = {
            "name": "blog",
            "user": pwd.getpwuid(os.getuid()).pw_name,
            "root": str(self.root),
            "bind": f"127.0.0.1:{self.port}",
            "wsgi": "app:application",
            "settings_module": "settings",
            "directory": directory,
            "requirements": "requirements.txt",
            "health_path": "/healthz",
            "health_timeout": 10,
            "host": "site.example",
            "python": sys.executable,
            "uv": str(uv),
            "pip_conf": str(self.path / "pip.conf"),
            "supervisor": self.supervisor.path,
        }

    def ask(self, action, attachment=b"", **more):
        """One request, as it would come over the wire. Returns (exit code, result)."""
        request = {"command": "release", "action": action, "site": self.site, **more}
        if attachment:
            path = self.path / "attachment"
            path.write_bytes(attachment)
            request["attachment"] = str(path)
        self.events = []
        code = release.main(json.loads(json.dumps(request)), self.events.append)
        assert [event["event"] for event in (self.events[0], self.events[-1])] == ["run-begun", "run-done"]
        json.dumps(self.events)
        return code, self.events[-1]["result"]

    def fetched(self, repository, sha, name=None, **more):
        """Build a commit that the server fetches by itself."""
        wanted = {
            "name": name or f"20260101T000000Z-{sha[:8]}",
            "sha": sha,
            "ref": "main",
            "time": "",
            "fingerprint": "f",
        }
        source = {"kind": "git", "url": str(repository.path)}
        return self.ask("build", release=wanted, **{"source": source, **more})

    def deployed(self, repository, sha, name=None):
        """Build and switch; the release's name."""
        code, result = self.fetched(repository, sha, name)
        assert code == 0, self.failure
        code, switched = self.ask("switch", release=result["release"])
        assert code == 0, self.failure
        return switched["current"]

    @property
    def failure(self):
        return next(event for event in self.events if event["event"] == "failure")

    @property
    def steps(self):
        """Step name -> state of the last request."""
        return {event["step"]: event["state"] for event in self.events if event["event"] == "step-done"}

    @property
    def changes(self):
        return self.events[-1]["totals"]["changed"]

    def word(self):
        """What a visitor reads."""
        from http.client import HTTPConnection

        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        connection.request("GET", "/healthz", headers={"Host": "site.example", "X-Forwarded-Proto": "https"})
        try:
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def releases(self):
        return sorted(path.name for path in (self.root / "releases").iterdir())


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(condition, seconds=10.0):
    """Wait for a condition that another process brings about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


__all__ = ["Machine", "Path", "Repository", "Supervisor", "until"]
