"""send.py PREFIX COUNT: tells COUNT notes, and prints each answer on a line."""
import json, pathlib, sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "docs" / "clients"))
sys.dont_write_bytecode = True
from rollcall import Client, Refused

c = Client(source="test/python")
for i in range(int(sys.argv[2])):
    print(json.dumps(c.send("com.example.step.done", "node/node-0001", {"step": i}, id=f"{sys.argv[1]}-{i}")), flush=True)
try:
    c.send("node.condition", "node/node-0001", {"type": "Ready", "status": "Perhaps"})
except Refused as e:
    print(json.dumps(e.problem), flush=True)
print(json.dumps(next(e for e in c.read(type="com.example.*") if e["id"] == f"{sys.argv[1]}-0")), flush=True)
