#!/usr/bin/env python3
"""Keeps the nodes of rollcall true to a list of hosts: inventory.py HOSTS.json [--once]

HOSTS.json is a list of objects with a name and what node.observed takes. What was
told is kept beside it: a restart tells nothing twice, and no host that left is missed.
"""
import json, os, pathlib, sys, time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "clients"))
from rollcall import Client, Refused


def sync(client, hosts, told):
    """Tells in what hosts and told differ, both by name, and makes told what was taken."""
    for name in sorted(hosts.keys() | told.keys()):
        if hosts.get(name) == told.get(name):
            continue
        try:
            if name in hosts:
                print(client.send("node.observed", f"node/{name}", hosts[name])["seq"], "told", name, flush=True)
                told[name] = hosts[name]
            else:
                print(client.send("node.gone", f"node/{name}", {})["seq"], "gone", name, flush=True)
                del told[name]
        except Refused as e:
            print(f"{name}: {e}", file=sys.stderr, flush=True)
            if e.problem.get("code") == "E-TOLD-ABSENT":
                told.pop(name)  # rollcall does not know it either


path, client, seen = pathlib.Path(sys.argv[1]), Client(), None
memory = pathlib.Path(f"{path}.told")
told = json.loads(memory.read_text()) if memory.exists() else {}
while True:
    if (now := path.stat().st_mtime_ns) != seen:
        hosts = {h["name"]: {k: v for k, v in h.items() if k != "name"} for h in json.loads(path.read_text())}
        sync(client, hosts, told)
        pathlib.Path(f"{memory}.part").write_text(json.dumps(told))
        os.replace(f"{memory}.part", memory)
        seen = now
    if "--once" in sys.argv:
        break
    time.sleep(1)
