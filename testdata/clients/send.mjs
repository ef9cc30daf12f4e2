// send.mjs PREFIX COUNT: tells COUNT notes, and prints each answer on a line.
import { Client, Refused } from "../../docs/clients/rollcall.mjs";

const [prefix, count] = process.argv.slice(2);
const print = (value) => console.log(JSON.stringify(value));
const c = new Client({ source: "test/node" });
for (let i = 0; i < Number(count); i++) {
  print(await c.send("com.example.step.done", "node/node-0001", { step: i }, { id: `${prefix}-${i}` }));
}
try {
  await c.send("node.condition", "node/node-0001", { type: "Ready", status: "Perhaps" });
} catch (e) {
  if (!(e instanceof Refused)) throw e;
  print(e.problem);
}
for await (const e of c.read({ type: "com.example.*" })) {
  if (e.id !== `${prefix}-0`) continue;
  print(e);
  break;
}
process.exit(0);
