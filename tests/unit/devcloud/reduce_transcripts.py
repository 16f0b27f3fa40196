"""A directory of recorded exchanges with a real control plane goes in; the smaller one that the replay reads comes out.

    python tests/unit/devcloud/reduce_transcripts.py RECORDED tests/unit/devcloud/transcripts

Every exchange is one line of its scenario's file. Left out: what depends on nothing but the moment (timing, agents,
lengths), repeated polls of a server that had not changed its status, the login where it is not the topic, and what
PARTS and LEFT_OUT name.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

Json = dict[str, Any]
REQUEST_HEADERS = {"OpenStack-API-Version", "Content-Type"}
RESPONSE_HEADERS = {
    *("content-type", "vary", "openstack-api-version", "x-openstack-nova-api-version", "location"),
    *("www-authenticate", "x-subject-token", "x-openstack-request-id", "x-compute-request-id"),
}
REQUEST_ID = re.compile(r"^req-[0-9a-f-]{36}$")
REPEATED = re.compile(r"(.{1,4}?)\1{199,}")
POLL = re.compile(r"^/v2\.1/servers/[0-9a-f-]{36}$")
FORGED = {"bad token", "wrong password"}  # of these the recording has only "<REDACTED>"
# New name: the recording, and the calls that it starts and ends with. Two recordings of one scenario complete each
# other: in the first the server groups had been made before, in the second a call timed out on a starved machine.
ALONE = "create_server without network=, the project has none"
PARTS = {
    "13-server-actions": ("13-server-actions", None, "create_server_group"),
    "15-no-network": ("15-one-network-and-none", ALONE, ""),  # calls without a name follow, as another project
    "15-one-network": ("15-one-network-and-none", None, ALONE),
    "17-server-groups": ("13b-server-actions-starved", "create_server_group", None),
}
LEFT_OUT = {"29-cli-admin-server-list"}  # an administrator's view of all projects: devcloud has one project
LOGINS = ("01", "14", "15", "16", "28-cli-misc-catalog")


def main(source: Path, target: Path) -> None:
    whole = {file.stem for file in source.glob("*.json")} - LEFT_OUT - {part[0] for part in PARTS.values()}
    for name, (recording, first, last) in {**{name: (name, None, None) for name in whole}, **PARTS}.items():
        recorded = json.loads((source / f"{recording}.json").read_text())
        kept = without_polls(part_of(name, recorded["exchanges"], first, last))
        write(target / f"{name}.json", recorded["about"].partition(" The same as")[0], kept)
        printed = source / f"{recording}.txt"
        if printed.exists():
            (target / f"{name}.txt").write_text(printed.read_text())


def part_of(name: str, exchanges: list[Json], first: str | None, last: str | None) -> list[Json]:
    """From the first call named to before the last."""
    calls = [exchange["call"] for exchange in exchanges]
    start = calls.index(first) if first else 0
    part = exchanges[start : None if last is None else calls.index(last, start)]
    return part if name.startswith(LOGINS) else [one for one in part if one["service"] != "keystone"]


def without_polls(exchanges: list[Json]) -> list[Json]:
    """Of reads of one server that follow each other, only the last with each status."""
    kept: list[Json] = []
    for exchange in exchanges:
        if kept and status_of(exchange) is not None and status_of(exchange) == status_of(kept[-1]):
            kept[-1] = exchange
        else:
            kept.append(exchange)
    return kept


def status_of(exchange: Json) -> tuple[str, str] | None:
    request, body = exchange["request"], exchange["response"]["body"]
    if request["method"] != "GET" or not POLL.match(request["path"]) or "server" not in body:
        return None
    return request["path"], body["server"]["status"]


def write(file: Path, about: str, exchanges: list[Json]) -> None:
    headers: list[Json] = []
    bodies: list[str] = []
    lines = [line_of(exchange, headers, bodies) for exchange in exchanges]
    shared = ",\n".join(f"  {json.dumps(row)}" for row in headers)
    listed = ",\n".join(f"  {json.dumps(line, separators=(',', ':'), ensure_ascii=False)}" for line in lines)
    file.write_text(f'{{"about": {json.dumps(about)},\n"headers": [\n{shared}\n],\n"exchanges": [\n{listed}\n]}}\n')


def line_of(exchange: Json, headers: list[Json], bodies: list[str]) -> Json:
    """headers: those seen so far, which lines name by number. bodies: the same; an equal one is named by number."""
    request, response = exchange["request"], exchange["response"]
    kept = {name: value for name, value in request["headers"].items() if name in REQUEST_HEADERS}
    if "X-Auth-Token" in request["headers"]:
        kept["X-Auth-Token"] = "forged" if exchange["call"] in FORGED else "good"
    line = {"call": exchange["call"], "service": exchange["service"], "method": request["method"]}
    line |= {"path": request["path"], "headers": kept}
    if request["body"] is not None:
        line["body"] = short(request["body"], exchange["call"])
    told = {name: _lasting(value) for name, value in response["headers"].items() if name.lower() in RESPONSE_HEADERS}
    if told not in headers:
        headers.append(told)
    body = json.dumps(short(response["body"]))
    bodies.append(body)
    same = bodies.index(body)
    answer = {"same": same} if same < len(bodies) - 1 and len(body) > 100 else {"body": json.loads(body)}
    return {**line, "answer": {"status": response["status"], "headers": headers.index(told), **answer}}


def short(value: Any, call: str = "") -> Any:
    """With what is repeated hundreds of times written as a count."""
    text = REPEATED.sub(lambda match: f"⟨{match[1]}*{len(match[0]) // len(match[1])}⟩", json.dumps(value))
    return json.loads(text.replace("<REDACTED>", "<FORGED>") if call in FORGED else text)


def _lasting(value: str) -> str:
    return "req-" if REQUEST_ID.match(value) else value


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
