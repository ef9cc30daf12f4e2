// @ts-check
/** What the server refuses, and what to do about it. */
export class Refusal extends Error {
  /** @param {any} e */
  constructor(e) {
    super(e.what ?? "the server does not answer");
    this.why = e.why; this.todo = e.do; this.code = e.code; this.where = e.where;
  }
}

/** @param {string} path @param {Record<string, any>} [query] */
export function url(path, query = {}) {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(query)) for (const x of Array.isArray(v) ? v : [v]) if (x !== null && x !== undefined && x !== "") q.append(k, String(x));
  const text = q.toString();
  return "v1/" + path + (text ? "?" + text : "");
}

/** @param {string} path @param {Record<string, any>} [query] @param {AbortSignal} [signal] @returns {Promise<Response>} */
export async function fetchPart(path, query, signal) {
  let r;
  try {
    r = await fetch(url(path, query), { signal, credentials: "same-origin" });
  } catch (e) {
    if (signal?.aborted) throw e;
    throw new Refusal({ what: "the server does not answer", do: "see whether the command that serves this page still runs" });
  }
  if (r.ok) return r;
  throw await refusal(r);
}

/** @param {Response} r */
async function refusal(r) {
  const text = await r.text();
  try { return new Refusal(JSON.parse(text)); } catch { return new Refusal({ what: text }); }
}

/**
 * Asks, and returns the document of the answer.
 * @param {string} path @param {Record<string, any>} [query] @param {AbortSignal} [signal]
 * @returns {Promise<{kind: string, at: {seq: number, time: string}, coverage: {first: number, last: number, from: string, to: string}, items: any[]}>}
 */
export async function ask(path, query, signal) {
  return (await fetchPart(path, query, signal)).json();
}

/**
 * Does something: the server has it done, and says nothing but that it is.
 * @param {{do: string, ds?: string, hold?: string, reason: string}} what
 */
export async function act(what) {
  let r;
  try {
    r = await fetch("v1/act", { method: "POST", credentials: "same-origin", headers: { "Content-Type": "application/json", "Rollcall-Page": "1" }, body: JSON.stringify(what) });
  } catch {
    throw new Refusal({ what: "the server does not answer", do: "see whether the command that serves this page still runs" });
  }
  if (!r.ok) throw await refusal(r);
}

/**
 * Follows the log. A stream that breaks off is asked for again by the browser, from the position that it had.
 * @param {Record<string, any>} query @param {{frame: (frame: any) => void, open: () => void, lost: (ended: boolean) => void}} on lost is told whether nothing will come any more
 * @returns {() => void} what ends it
 */
export function follow(query, on) {
  const s = new EventSource(url("stream", query));
  s.addEventListener("frame", (e) => on.frame(JSON.parse(e.data)));
  s.addEventListener("open", on.open);
  s.addEventListener("end", () => on.lost(true));
  s.addEventListener("error", () => on.lost(s.readyState === EventSource.CLOSED));
  return () => s.close();
}
