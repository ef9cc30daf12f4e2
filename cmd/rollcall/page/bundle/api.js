// @ts-check
// In a bundle this module is in the place of lib/api.js: there is no server, and it
// answers from what the file has. It makes nothing of events: what it gives was
// answered when the file was made, and cells are what the changes of cells say.
import { Stretch, cellBytes, hashOf } from "./cells.js";

/** What the file has no answer to, and what to do about it. */
export class Refusal extends Error {
  /** @param {any} e */
  constructor(e) {
    super(e.what);
    this.why = e.why; this.todo = e.do; this.code = e.code; this.where = e.where;
  }
}

/** @param {string} id @returns {Uint8Array} */
function bytesOf(id) {
  const text = atob((document.getElementById(id)?.textContent ?? "").trim());
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** @param {any} bytes @returns {Promise<ArrayBuffer>} */
const unpacked = (bytes) => new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();

const has = unpacked(bytesOf("answers")).then((b) => JSON.parse(new TextDecoder().decode(b)));

/** @type {Record<string, Promise<Stretch>>} */
const stretches = {};

/** The cells of a DaemonSet over the whole log. @param {any} x @param {string} ds */
function stretchOf(x, ds) {
  const text = x.cells[ds];
  if (!text) throw missing(x, `how ${ds} stands on its nodes`);
  stretches[ds] ??= unpacked(Uint8Array.from(atob(text), (c) => c.charCodeAt(0))).then((b) => new Stretch(x.first, x.last, b));
  return stretches[ds];
}

/** @param {any} x @param {string} what @param {number} [seq] where it has an answer */
const missing = (x, what, seq) => new Refusal({ ...x.missing, what: `${x.missing.what} ${what} here` + (seq ? `; it does at #${seq}` : "") });

/** @param {any} x @param {any} at @returns {number} the position of an instant */
function position(x, at) {
  const text = String(at ?? "");
  if (text === "" || text === "now") return x.last;
  if (/^#?\d+$/.test(text)) return Math.min(x.last, Math.max(x.first, Number(text.replace("#", ""))));
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw missing(x, `where ${text} is`);
  let lo = 0, hi = x.times.length;
  while (lo < hi) { const mid = (lo + hi) >> 1; if (x.times[mid] <= ms) lo = mid + 1; else hi = mid; }
  return x.first + Math.max(0, lo - 1);
}

/** @param {any} x @param {number} seq */
const timeAt = (x, seq) => new Date(x.times[seq - x.first]).toISOString();

/** @param {string} path @param {Record<string, any>} query @returns {string} */
function keyOf(path, query) {
  const q = Object.entries(query).filter(([k, v]) => k !== "at" && v !== undefined && v !== null && v !== "" && v.length !== 0).map(([k, v]) => `${k}=${v}`).sort();
  return path + "?" + q.join("&");
}

/** Says which instant an answer is of, if it is another than the one that is shown. @param {string} text */
function stands(text) {
  const el = document.getElementById("stands");
  if (el) el.textContent = text;
}

/** @param {any} x @param {string} path @param {Record<string, any>} query */
function stepwise(x, path, query) {
  const seq = position(x, query.at), all = x.answers[keyOf(path, query)] ?? [];
  const [at, doc] = all.findLast((/** @type {any} */ a) => a[0] <= seq) ?? [];
  if (at === undefined || (at !== seq && !x.stepwise.includes(path))) throw missing(x, `that (${path})`, all.length ? all.find((/** @type {any} */ a) => a[0] > seq)?.[0] ?? all[all.length - 1][0] : 0);
  if (x.stepwise.includes(path)) stands(at === seq ? "" : `What is written here stands at #${at}: the file has ${all.length} instants of it. Cells and events are those of #${seq}.`);
  return { ...x.docs[doc], at: { seq, time: timeAt(x, seq) } };
}

/** @param {any} x @param {Record<string, any>} query */
function events(x, query) {
  const last = position(x, query.at), limit = Number(query.limit ?? 100);
  const only = query.ds ? new Set(x.of[query.ds.replace(/^ds\//, "")] ?? []) : null, types = [query.type ?? []].flat();
  const items = [];
  let looked = Number(query.after ?? 0);
  for (let i = Math.max(0, looked - x.first + 1); i <= last - x.first && items.length < limit; i++) {
    const e = x.events[i];
    looked = e.seq;
    if ((!only || only.has(e.seq)) && (!types.length || types.some((/** @type {string} */ t) => matches(t, e.type)))) items.push(e);
  }
  if (items.length < limit) looked = last;
  return { doc: { kind: "Events", at: { seq: last, time: timeAt(x, last) }, coverage: x.coverage, items }, looked };
}

/** @param {string} pattern "pod.*" @param {string} type */
const matches = (pattern, type) => new RegExp("^" + pattern.replace(/[.+^${}()|[\]\\]/g, "\\$&").replace(/\*/g, ".*") + "$").test(type);

/** Cells and the changes after them, as the server writes them. @param {any} x @param {Record<string, any>} query */
async function deltas(x, query) {
  const s = await stretchOf(x, query.ds), from = position(x, query.from), to = position(x, query.at);
  const base = new Uint8Array(s.seek(from)), rest = [];
  for (let i = 0; i < s.count; i++) {
    const seq = s.from + s.changes.getUint32(12 * i, true);
    if (seq > from && seq <= to) rest.push(i);
  }
  const out = new DataView(new ArrayBuffer(4 + base.length + 12 * rest.length));
  out.setUint32(0, base.length / cellBytes, true);
  new Uint8Array(out.buffer).set(base, 4);
  rest.forEach((i, k) => {
    const at = 4 + base.length + 12 * k;
    out.setUint32(at, s.from + s.changes.getUint32(12 * i, true) - from, true);
    for (const by of [4, 8]) out.setUint32(at + by, s.changes.getUint32(12 * i + by, true), true);
  });
  return new Response(out.buffer, { headers: { "Rollcall-Seq": String(to) } });
}

/** The plan, or the wave, before a position or after it. @param {any} x @param {number[]} all @param {Record<string, any>} query */
function near(x, all, query) {
  const seq = position(x, query.at);
  const to = query.way === "back" ? all.findLast((n) => n < seq) : all.find((n) => n > seq);
  return { kind: "Near", at: { seq, time: timeAt(x, seq) }, coverage: x.coverage, items: [{ seq: to ?? seq }] };
}

const json = (/** @type {any} */ doc, /** @type {Record<string, string>} */ headers = {}) => new Response(JSON.stringify(doc), { headers });

/** @param {string} path @param {Record<string, any>} [query] @returns {string} */
export const url = (path, query = {}) => keyOf(path, query);

/** @param {string} path @param {Record<string, any>} [query] @param {AbortSignal} [signal] @returns {Promise<Response>} */
export async function fetchPart(path, query = {}, signal) {
  const x = await has;
  signal?.throwIfAborted();
  switch (path) {
    case "info": {
      const seq = position(x, query.at);
      return json({ ...x.info, at: { seq, time: timeAt(x, seq) } });
    }
    case "events": {
      const { doc, looked } = events(x, query);
      return json(doc, { "Rollcall-Looked": String(looked) });
    }
    case "deltas": return deltas(x, query);
    case "state": {
      if (query.format !== "bin") break;
      const seq = position(x, query.at), cells = new Uint8Array((await stretchOf(x, query.ds)).seek(seq));
      return new Response(cells, { headers: { "Rollcall-Seq": String(seq), "Rollcall-Time": timeAt(x, seq), "Rollcall-Cells": await hashOf(cells) } });
    }
    case "density": return json(x.density[query.axis === "time" ? 1 : 0]);
    case "plan": case "wave": return json(near(x, x[path], query));
    case "rollouts": case "marks":
      if (query.at === undefined) query = { ...query, at: x.last };
  }
  return json(stepwise(x, path, query));
}

/**
 * @param {string} path @param {Record<string, any>} [query] @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export async function ask(path, query, signal) {
  return (await fetchPart(path, query, signal)).json();
}

/** @param {any} _what @returns {Promise<void>} */
export async function act(_what) {
  throw new Refusal({ what: "nothing can be done here: this is a file", do: "ask the cluster that it is of" });
}

/** Nothing comes. @returns {() => void} */
export function follow() { return () => {}; }

document.getElementById("save")?.addEventListener("click", async () => {
  const a = document.createElement("a");
  a.href = URL.createObjectURL(new Blob([/** @type {any} */ (bytesOf("recording"))], { type: "application/octet-stream" }));
  a.download = (await has).name;
  a.click();
});
