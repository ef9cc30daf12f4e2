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
  const text = await r.text();
  let e;
  try { e = JSON.parse(text); } catch { e = { what: text }; }
  throw new Refusal(e);
}

/**
 * Asks, and returns the document of the answer.
 * @param {string} path @param {Record<string, any>} [query] @param {AbortSignal} [signal]
 * @returns {Promise<{kind: string, at: {seq: number, time: string}, coverage: {first: number, last: number, from: string, to: string}, items: any[]}>}
 */
export async function ask(path, query, signal) {
  return (await fetchPart(path, query, signal)).json();
}
