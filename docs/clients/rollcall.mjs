// Tell rollcall what you know, and read what it says: one file, nothing but Node's own library.
//
//     import { Client } from "./rollcall.mjs";
//     const c = new Client();                       // ROLLCALL_URL, ROLLCALL_TOKEN, ROLLCALL_CA
//     console.log(await c.send("node.observed", "node/n-17", { labels: { zone: "a" } }));
//     for await (const e of c.read({ type: "node.*" })) console.log(e.seq, e.type, e.subject);
// An event has its id before it is sent for the first time: it is in the log once, however often it was sent.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { createInterface } from "node:readline";

const again = new Set([429, 502, 503, 504]);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// Refused is what the gate says of an event that it does not take: RFC 9457 in `problem`.
export class Refused extends Error {
  constructor(problem, answers) {
    const where = (problem.errors ?? []).map((e) => `; ${e.pointer}: expected ${e.expected}, got ${e.got}`).join("");
    super((problem.detail ?? problem.title ?? "refused") + where);
    this.problem = problem;
    this.answers = answers ?? [problem];
  }
}

export class Client {
  // patience, in milliseconds, bounds how long one send tries.
  constructor({ url = process.env.ROLLCALL_URL, token = process.env.ROLLCALL_TOKEN, ca = process.env.ROLLCALL_CA, source, patience = 60000 } = {}) {
    if (!url || !token) throw new Error("ROLLCALL_URL and ROLLCALL_TOKEN say where rollcall is and who asks");
    Object.assign(this, { url: url.replace(/\/$/, ""), token, ca: ca && readFileSync(ca), source, patience });
  }

  // event returns an event that can be sent, also again: it has an id.
  event(type, subject, data, more = {}) {
    return { type, id: randomUUID(), ...(this.source && { source: this.source }), ...(subject && { subject }), ...(data !== undefined && { data }), ...more };
  }

  // send tells one event and returns the answer: accepted, seq, id, duplicate, warnings.
  async send(type, subject, data, more) {
    return (await this.sendEvents([this.event(type, subject, data, more)]))[0];
  }

  // sendEvents tells events in order and returns an answer for each. It throws Refused for the
  // first that was refused; `answers` of the error has all of them.
  async sendEvents(events, { atomic = false } = {}) {
    const one = events.length === 1;
    const answer = await this.#post("/v1/events" + (atomic ? "?atomic=true" : ""), JSON.stringify(one ? events[0] : events));
    const answers = one ? [answer] : (answer.results ?? [answer]);
    const bad = answers.find((a) => !a.accepted);
    if (bad) throw new Refused(bad, answers);
    return answers;
  }

  async #post(path, body) {
    const until = Date.now() + this.patience;
    for (let pause = 100; ; pause = Math.min(pause * 2, 5000)) {
      let wait = pause;
      try {
        const r = await this.#open("POST", path, { "Content-Type": "application/json" }, body, 30000);
        const text = await textOf(r);
        if (!again.has(r.statusCode)) return parse(text, r);
        wait = Math.max(pause, 1000 * Number(r.headers["retry-after"] ?? 0));
        if (Date.now() > until) throw new Refused(parse(text, r));
      } catch (e) {
        if (e instanceof Refused || /CERT|SIGNATURE|ALTNAME/.test(e.code ?? "") || Date.now() > until) throw e;
      }
      await sleep(wait);
    }
  }

  // read yields the events after a position, and with follow those to come; it goes on by itself
  // where a connection ended.
  async *read({ after = 0, type, follow = true } = {}) {
    for (let pause = 100; ; pause = Math.min(pause * 2, 5000)) {
      const query = new URLSearchParams({ after, follow, ...(type && { type }) });
      try {
        const r = await this.#open("GET", "/v1/events?" + query, { Accept: "application/x-ndjson" }, undefined, 90000);
        if (r.statusCode !== 200 && !again.has(r.statusCode)) throw new Refused(parse(await textOf(r), r));
        if (r.statusCode === 200) {
          for await (const line of createInterface({ input: r })) {
            if (!line.trim()) continue;
            const e = JSON.parse(line);
            yield e;
            after = e.seq ?? after;
            pause = 100;
          }
          if (!follow) return;
        }
      } catch (e) {
        if (e instanceof Refused || e instanceof SyntaxError) throw e;
      }
      await sleep(pause);
    }
  }

  #open(method, path, headers, body, timeout) {
    return new Promise((done, failed) => {
      const u = new URL(this.url + path);
      const lib = u.protocol === "https:" ? https : http;
      const r = lib.request(u, { method, timeout, ca: this.ca, headers: { Authorization: `Bearer ${this.token}`, ...headers } }, done);
      r.on("timeout", () => r.destroy(new Error("no answer in time"))).on("error", failed).end(body);
    });
  }
}

async function textOf(response) {
  let text = "";
  for await (const part of response.setEncoding("utf8")) text += part;
  return text;
}

function parse(text, response) {
  try {
    return JSON.parse(text);
  } catch {
    return { status: response.statusCode, title: response.statusMessage, detail: text.slice(0, 200) };
  }
}
