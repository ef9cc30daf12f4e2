// @ts-check
import { h, colour } from "../lib/dom.js";
import { ask, fetchPart } from "../lib/api.js";
import { Stretch, causes } from "../lib/cells.js";
import { causeColours, count, keyName, num, rolloutName, span, took } from "../lib/words.js";
import { empty, position } from "../lib/parts.js";
import { table } from "./overview.js";

/** @param {any} app */
export const command = (app) => (app.state.rollout ? `rollcall rollout receipt ${app.state.rollout.replace(/'/g, "")}${app.flags()}` : `rollcall rollout list${app.flags()}`);

/** @param {any} app @param {AbortSignal} signal */
export async function render(app, signal) {
  const a = await ask("rollouts", { at: app.at }, signal);
  app.saw(a);
  const all = a.items.filter((r) => !app.state.ds || keyName(r.daemonSet) === app.state.ds || app.state.rollout);
  if (!a.items.length) return empty("No rollout has begun up to this instant. A rollout begins when the template of a DaemonSet is written: kubectl apply, or kubectl set image.");
  const named = all.filter((r) => rolloutName(r) === app.state.rollout);
  const r = named[named.length - 1] ?? all[all.length - 1] ?? a.items[a.items.length - 1];
  if (app.live) await app.feed.at(keyName(r.daemonSet), signal);
  const end = r.end?.seq ? r.end.seq : a.at.seq;
  const chart = /** @type {HTMLCanvasElement} */ (h("canvas.chart", { role: "img", "aria-label": "nodes without an available pod over time, by why" }));
  const beside = h("div", null);
  area(app, r, end, chart, beside, signal);
  return h("div", null, header(app, r, a.at), h("h2", null, "Waves"), gantt(app, r, a.at), h("h2", null, "Nodes without an available pod, by why"), chart, beside,
    h("h2", null, "All rollouts"), table(app, a.items));
}

/** @param {any} app @param {any} r @param {any} at */
function header(app, r, at) {
  const tile = (/** @type {any} */ n, /** @type {string} */ what) => h("div.tile", null, h("b", null, n), h("span", null, what));
  const end = r.end?.seq ? r.end : at, ms = Date.parse(end.time) - Date.parse(r.start.time), ready = new Set((r.waves ?? []).flatMap((/** @type {any} */ w) => (w.ready ?? []).map((/** @type {any} */ x) => x.node))).size;
  const left = r.nodes - ready, eta = !r.ending && ready > 0 ? span((ms / ready) * left) : "";
  const ds = keyName(r.daemonSet);
  return h("div", null, h("div", null, h("b", null, `rollout/${rolloutName(r)}`), "  ", r.ending === "RolledOut" ? h("span.good", null, "● RolledOut") : r.ending ? h("span.bad", null, `✕ ${r.ending}`) : h("span", null, "◔ under way"), "  ", h("span.soft", null, `${(r.imagesBefore ?? []).join(", ") || "new"} → ${(r.images ?? []).join(", ")}`)),
    h("div.soft", null, `by ${r.who || "somebody"}${r.manager ? ` via ${r.manager}` : ""}${r.why ? `: ${r.why}` : ""}  `, position(app, r.start.seq), r.end?.seq ? [" → ", position(app, r.end.seq)] : null),
    h("div.tiles", null, tile(span(ms), r.ending ? "took" : "so far"), tile(`${num(ready)} of ${num(r.nodes)}`, "nodes have a ready pod of it"), tile((r.waves ?? []).length, "waves"), tile(r.peakUnavailable, `peak unavailable${r.limits?.maxUnavailable ? ` of max ${r.limits.maxUnavailable}` : ""}`), tile(r.restarted, "pods restarted"), tile(r.failures, "failures"), eta ? tile(eta, "left, at this pace") : null),
    h("p", null, h("a", { href: app.link({ view: "nodes", ds }) }, "nodes"), " · ", h("a", { href: app.link({ view: "events", ds, from: r.start.seq }) }, "events"), " · ", h("a", { href: app.link({ view: "diff", mark: r.start.seq, at: r.end?.seq || null }) }, "what it changed"), " · ", h("a", { href: app.link({ view: "object", of: "ds/" + ds, tab: "why-not" }) }, "why not?"), " · ", h("a", { href: app.link({ view: "compare", a: rolloutName(r) }) }, "compare")));
}

/** A row a wave. @param {any} app @param {any} r @param {any} at */
function gantt(app, r, at) {
  const waves = r.waves ?? [];
  if (!waves.length) return empty("No wave has begun: no plan has put this template on a node yet. Why-not says what holds it back.");
  const from = Date.parse(r.start.time), to = Math.max(from + 1, Date.parse(r.end?.seq ? r.end.time : at.time));
  const x = (/** @type {string} */ t) => (100 * (Date.parse(t) - from)) / (to - from);
  const shown = waves.length > 200 ? waves.slice(-200) : waves;
  return h("div", null, waves.length > 200 ? h("p.soft", null, `the last 200 of ${waves.length} waves`) : null, h("div.gantt", null, shown.map((/** @type {any} */ w, /** @type {number} */ i) => {
    const begin = x(w.time), end = w.done?.seq ? x(w.done.time) : 100, n = waves.length - shown.length + i + 1;
    const bar = h("div.track", { title: w.nodes.join(", ") }, h(`div.span${w.failures ? ".failed" : w.done?.seq ? "" : ".open"}`, { style: { left: begin + "%", width: Math.max(0.3, end - begin) + "%" } }));
    const slow = (w.ready ?? []).reduce((/** @type {any} */ a, /** @type {any} */ b) => (!a || b.nanoseconds > a.nanoseconds ? b : a), null);
    return [position(app, w.seq, `wave ${n}`), bar, h("details", null, h("summary", null, `${count(w.nodes.length, "node")}${w.failures ? `, ✕ ${w.failures} failures` : ""}${w.done?.seq ? `, ${span(Date.parse(w.done.time) - Date.parse(w.time))}` : ", ◔ not all ready"}`), h("div.soft", null, slow ? `slowest ${slow.node}, ${took(slow.nanoseconds)}` : "", h("br", null), w.nodes.slice(0, 40).map((/** @type {string} */ n2, /** @type {number} */ j) => [j ? ", " : "", h("a", { href: app.link({ view: "object", of: "node/" + n2 }) }, n2)])))];
  })));
}

/** The causes over time, from the changes of cells that the server gives. @param {any} app @param {any} r @param {number} end @param {HTMLCanvasElement} canvas @param {HTMLElement} beside @param {AbortSignal} signal */
async function area(app, r, end, canvas, beside, signal) {
  try {
    const to = Math.min(end, r.start.seq + 65536);
    const res = await fetchPart("deltas", { ds: keyName(r.daemonSet), from: r.start.seq, at: to }, signal);
    const s = new Stretch(r.start.seq, to, await res.arrayBuffer());
    const n = Math.max(2, Math.min(240, to - r.start.seq)), columns = [];
    for (let i = 0; i < n; i++) columns.push(causes(s.seek(Math.round(r.start.seq + ((to - r.start.seq) * i) / (n - 1)))));
    draw(app, columns, canvas);
    const peak = columns.reduce((a, c) => { const sum = c.slice(1).reduce((x, y) => x + y, 0); return sum > a.sum ? { sum, c } : a; }, { sum: 0, c: columns[0] });
    const token = (/** @type {number} */ i) => causeColours[i];
    beside.replaceChildren(h("div.legend", null, app.info.causes.map((/** @type {string} */ t, /** @type {number} */ i) => (i && columns.some((c) => c[i]) ? h("span", null, h("i.swatch", { style: { background: colour(token(i)) } }), `${t} (now ${columns[columns.length - 1][i]})`) : null))), h("p.soft", null, peak.sum ? `at the peak ${peak.sum} nodes: ${app.info.causes.map((/** @type {string} */ t, /** @type {number} */ i) => (i && peak.c[i] ? `${peak.c[i]} ${t}` : "")).filter(Boolean).join(", ")}` : "every node had an available pod all the time"));
  } catch (e) {
    if (!signal.aborted) beside.replaceChildren(h("p.soft", null, String(e)));
  }
}

/** @param {any} app @param {number[][]} columns @param {HTMLCanvasElement} canvas */
function draw(app, columns, canvas) {
  const ratio = devicePixelRatio || 1, w = canvas.clientWidth || 800, tall = 140, ctx = canvas.getContext("2d");
  if (!ctx) return;
  canvas.width = w * ratio; canvas.height = tall * ratio;
  ctx.scale(ratio, ratio);
  const most = Math.max(1, ...columns.map((c) => c.slice(1).reduce((a, b) => a + b, 0)));
  columns.forEach((c, i) => {
    let y = tall;
    for (const k of [4, 5, 6, 7, 1, 2, 3]) {
      const high = (c[k] / most) * (tall - 16);
      ctx.fillStyle = colour(causeColours[k]);
      ctx.fillRect((i * w) / columns.length, y - high, w / columns.length + 0.5, high);
      y -= high;
    }
  });
  ctx.fillStyle = colour("--soft"); ctx.font = "11px sans-serif";
  ctx.fillText(`${most} nodes`, 4, 12);
}
