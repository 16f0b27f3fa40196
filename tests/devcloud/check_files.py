"""Runs on a server, as root: configurations on stdin, what the programs themselves refuse of them out (JSON)."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

NGINX, POSTGRES = "/etc/nginx", "/usr/lib/postgresql"


def main() -> None:
    """stdin: [[program, {path: text}], ...]. stdout: {"tried": {program: n}, "refused": [[program, words], ...]}."""
    os.umask(0o022)
    tried: dict = {}
    refused = []
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:
        os.chmod(place, 0o755)
        trials = {"nft": nft, "sshd": sshd, "visudo": visudo, "nginx": nginx, "supervisord": supervisord,
                  "postgres": postgres(place)}  # fmt: skip
        for number, (program, files) in enumerate(json.load(sys.stdin)):
            folder = os.path.join(place, str(number))
            os.mkdir(folder)
            words = trials[program](files, folder)
            tried[program] = tried.get(program, 0) + 1
            refused += [[program, words]] if words else []
            shutil.rmtree(folder)
        stop(place)
    print(json.dumps({"tried": tried, "refused": refused}))


def run(*argv: str) -> str:
    """What it said where it failed; '' where it did not."""
    done = subprocess.run(argv, capture_output=True, text=True, cwd="/")
    return (done.stdout + done.stderr)[-1000:] or f"exit code {done.returncode}" if done.returncode else ""


def write(files: dict, folder: str, move: dict) -> list:
    """The files below the folder, what they say of directories changed with them; the paths."""
    paths = []
    for path, text in files.items():
        for old, new in move.items():
            path, text = path.replace(old, new), text.replace(old, new)
        if not path.startswith(folder):
            path = folder + path
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        paths.append(path)
    return paths


def nft(files: dict, folder: str) -> str:
    return "".join(run("nft", "-c", "-f", path) for path in write(files, folder, {}))


def sshd(files: dict, folder: str) -> str:
    return "".join(run("/usr/sbin/sshd", "-t", "-f", path) for path in write(files, folder, {}))


def visudo(files: dict, folder: str) -> str:
    paths = write(files, folder, {})
    for path in paths:
        os.chmod(path, 0o440)
    return "".join(run("visudo", "-c", "-q", "-f", path) for path in paths)


def nginx(files: dict, folder: str) -> str:
    """In a copy of its directory; every certificate is that of the server's own site."""
    copy = folder + NGINX
    shutil.copytree(NGINX, copy, symlinks=True, ignore=shutil.ignore_patterns("sites-*"))
    own = next(name[:-4] for name in os.listdir(NGINX + "/tls") if name.endswith(".crt"))
    files = {path: re.sub(NGINX + r"/tls/[\w.-]+\.(crt|key|stapling)", NGINX + r"/tls/" + own + r".\1", text)
             for path, text in files.items()}  # fmt: skip
    for path in write(files, folder, {NGINX: copy}):
        if "sites-available" in path:
            os.makedirs(copy + "/sites-enabled", exist_ok=True)
            os.symlink(path, path.replace("sites-available", "sites-enabled"))
    return run("nginx", "-t", "-q", "-c", copy + "/nginx.conf")


def supervisord(files: dict, folder: str) -> str:
    """By its own parser. The sites' users are not all here."""
    files = {path: re.sub(r"(?m)^user=.*", "user=root", text) for path, text in files.items()}
    write(files, folder, {"/etc/supervisor": folder + "/etc/supervisor"})
    parse = "import sys; from supervisor.options import ServerOptions as O; O().realize(['-c', sys.argv[1]])"
    return run("/usr/bin/python3", "-c", parse, folder + "/etc/supervisor/supervisord.conf")


def postgres(place: str):
    """`postgres -C` for what it is told, and a cluster of its own that says what it makes of each pg_hba.conf."""
    version = max(os.listdir(POSTGRES), key=int)
    programs, data = f"{POSTGRES}/{version}/bin", place + "/data"
    hba = place + "/pg_hba.conf"
    shutil.copy(f"/etc/postgresql/{version}/main/pg_hba.conf", hba)
    os.chmod(hba, 0o644)
    os.mkdir(data)
    shutil.chown(data, "postgres", "postgres")
    as_postgres = ("runuser", "-u", "postgres", "--")
    fail(run(*as_postgres, programs + "/initdb", "-D", data, "--no-sync", "-A", "peer"))
    tls = "".join(
        f" -c ssl_{of}_file=/etc/postgresql/tls/server.{end}" for of, end in (("cert", "pem"), ("key", "key"))
    )
    memory = "-c shared_buffers=16MB -c fsync=off -c ssl=on" + tls
    options = f"-c listen_addresses= -c unix_socket_directories={data} -c hba_file={hba} {memory}"
    fail(run(*as_postgres, programs + "/pg_ctl", "-D", data, "-l", data + "/log", "-o", options, "-w", "start"))

    def tried(files: dict, folder: str) -> str:
        main = f"{folder}/etc/postgresql/{version}/main"
        write(files, folder, {"/etc/postgresql": folder + "/etc/postgresql"})
        with open(main + "/postgresql.conf", "w") as file:
            file.write(f"data_directory = '{data}'\nhba_file = '{main}/pg_hba.conf'\n")
            file.write(f"ident_file = '{main}/pg_ident.conf'\ninclude_dir = 'conf.d'\n")
        said = run(
            *as_postgres, programs + "/postgres", "-C", "max_connections", "--config-file=" + main + "/postgresql.conf"
        )
        shutil.copy(main + "/pg_hba.conf", hba)
        os.chmod(hba, 0o644)
        ask = "SELECT line_number, error FROM pg_hba_file_rules WHERE error IS NOT NULL"
        done = subprocess.run([*as_postgres, "psql", "-XqAt", "-h", data, "-d", "postgres", "-c", ask],
                              capture_output=True, text=True, cwd="/")  # fmt: skip
        return said + done.stdout + done.stderr

    return tried


def stop(place: str) -> None:
    version = max(os.listdir(POSTGRES), key=int)
    run(
        "runuser",
        "-u",
        "postgres",
        "--",
        f"{POSTGRES}/{version}/bin/pg_ctl",
        "-D",
        place + "/data",
        "-m",
        "immediate",
        "stop",
    )


def fail(words: str) -> None:
    if words:
        sys.exit(words)


if __name__ == "__main__":
    main()
