// @ts-check
import { h, colour, ink } from "../lib/dom.js";
import { ask, fetchPart } from "../lib/api.js";
import { Stretch, causes } from "../lib/cells.js";
import { causeColours, causeGlyphs, count, hour, keyName, num, quote, rolloutName, span, took } from "../lib/words.js";
import { asTable, empty, objectLink, position, step } from "../lib/parts.js";
import { actions } from "../lib/actions.js";
import { table } from "./overview.js";

/** @param {any} app */
export const command = (app) => (app.state.rollout ? `rollcall rollout receipt ${quote(app.state.rollout)}${app.flags(false)}` : `rollcall rollout list${app.flags()}`);

/** @param {any} app @param {AbortSignal} signal */
export async function render(app, signal) {
  const [a, o] = await Promise.all([ask("rollouts", { at: app.at }, signal), ask("overview", { at: app.at }, signal)]);
  app.saw(a);
  const all = a.items.filter((r) => !app.state.ds || keyName(r.daemonSet) === app.state.ds || app.state.rollout);
  if (!a.items.length) return empty("No rollout has begun up to this instant. A rollout begins when the template of a DaemonSet is written: kubectl apply, or kubectl set image.");
  const named = all.filter((r) => rolloutName(r) === app.state.rollout);
  const r = named[named.length - 1] ?? all[all.length - 1] ?? a.items[a.items.length - 1];
  if (app.live) await app.feed.at(keyName(r.daemonSet), signal);
  const end = r.end?.seq ? r.end.seq : a.at.seq, ds = keyName(r.daemonSet);
  const standing = o.items[0].daemonSets.find((/** @type {any} */ s) => s.daemonSet === "ds/" + ds);
  const chart = /** @type {HTMLCanvasElement} */ (h("canvas.chart", { role: "img", "aria-label": "nodes without an available pod over time, by why; the table is below" }));
  const beside = h("div", null), plan = h("div", { id: "plan" }), waves = h("div", null, gantt(app, r, a.at, null));
  area(app, r, end, chart, beside, signal);
  if (app.state.plan) forecast(app, r, a.at, plan, waves, signal);
  return h("div", null, header(app, r, a.at), standing && !r.deleted ? h("div.tools", null, actions(app, ds, o.items[0].paused.includes(ds))) : null,
    h("h2", null, "Waves"), waves, h("div.tools", null, h("button", { id: "plan-button", "aria-pressed": String(!!app.state.plan), onclick: () => app.go({ plan: app.state.plan ? null : 1 }) }, "against its plan")), plan,
    attribution(app, standing, a.at), h("h3", null, "from its begin to here"), chart, beside, decisions(app, r, end), h("h2", null, "All rollouts"), table(app, a.items));
}

/** @param {any} app @param {any} r @param {any} at */
function header(app, r, at) {
  const tile = (/** @type {any} */ n, /** @type {string} */ what) => h("div.tile", null, h("b", null, n), h("span", null, what));
  const ms = (r.end?.seq ? Date.parse(r.end.time) : app.live ? Date.now() : Date.parse(at.time)) - Date.parse(r.start.time), ready = new Set((r.waves ?? []).flatMap((/** @type {any} */ w) => (w.ready ?? []).map((/** @type {any} */ x) => x.node))).size;
  const left = r.nodes - ready, eta = !r.ending && ready > 0 ? span((ms / ready) * left) : "";
  const ds = keyName(r.daemonSet);
  return h("div", null, h("div", null, h("b", null, `rollout/${rolloutName(r)}`), "  ", r.ending === "RolledOut" ? h("span.good", null, "● RolledOut") : r.ending ? h("span.bad", null, `✕ ${r.ending}`) : h("span", null, "◔ under way"), "  ", h("span.soft", null, `${(r.imagesBefore ?? []).join(", ") || "new"} → ${(r.images ?? []).join(", ")}`)),
    h("div.soft", null, `by ${r.who || "somebody"}${r.manager ? ` via ${r.manager}` : ""}${r.why ? `: ${r.why}` : ""}  `, position(app, r.start.seq), r.end?.seq ? [" → ", position(app, r.end.seq)] : null),
    h("div.tiles", null, tile(span(ms), r.ending ? "took" : "so far"), tile(`${num(ready)} of ${num(r.nodes)}`, "nodes have a ready pod of it"), tile((r.waves ?? []).length, "waves"), tile(r.peakUnavailable, `peak unavailable${r.limits?.maxUnavailable ? ` of max ${r.limits.maxUnavailable}` : ""}`), tile(r.restarted, "pods restarted"), tile(r.failures, "failures"), eta ? tile(eta, "left, at this pace") : null),
    h("p", null, h("a", { href: app.link({ view: "nodes", ds }) }, "nodes"), " · ", h("a", { href: app.link({ view: "events", ds, from: r.start.seq }) }, "events"), " · ", h("a", { href: app.link({ view: "diff", mark: r.start.seq, at: r.end?.seq || null }) }, "what it changed"), " · ", h("a", { href: app.link({ view: "object", of: "ds/" + ds, tab: "why-not" }) }, "why not?"), " · ", h("a", { href: app.link({ view: "compare", a: rolloutName(r) }) }, "compare")));
}

/** A row a wave, and below each what was planned. @param {any} app @param {any} r @param {any} at @param {any} plan */
function gantt(app, r, at, plan) {
  const waves = r.waves ?? [];
  if (!waves.length && !plan) return empty("No wave has begun: no plan has put this template on a node yet. Why-not says what holds it back.");
  const from = Date.parse(r.start.time), planned = plan?.waves ?? [];
  const to = Math.max(from + 1, Date.parse(r.end?.seq ? r.end.time : at.time), from + (plan?.nanoseconds ?? 0) / 1e6);
  const x = (/** @type {number} */ t) => (100 * (t - from)) / (to - from);
  const n = Math.max(waves.length, planned.length), first = Math.max(0, n - 200), rows = [];
  for (let i = first; i < n; i++) rows.push(wave(app, waves[i], planned, i, { x, end: plan?.nanoseconds ?? 0, from }));
  return h("div", null, first ? h("p.soft", null, `the last 200 of ${n} waves`) : null, h("div.gantt", null, rows));
}

/** @param {any} app @param {any} w @param {any[]} planned @param {number} i @param {{x: (t: number) => number, end: number, from: number}} scale */
function wave(app, w, planned, i, scale) {
  const spans = [], p = planned[i];
  const bar = (/** @type {string} */ kind, /** @type {number} */ a, /** @type {number} */ b) => spans.push(h("div.span" + kind, { style: { left: a + "%", width: Math.max(0.3, b - a) + "%" } }));
  if (w) bar(w.failures ? ".failed" : w.done?.seq ? "" : ".open", scale.x(Date.parse(w.time)), w.done?.seq ? scale.x(Date.parse(w.done.time)) : 100);
  if (p) bar(".planned", scale.x(scale.from + p.afterNanoseconds / 1e6), scale.x(scale.from + (planned[i + 1]?.afterNanoseconds ?? scale.end) / 1e6));
  const track = h(`div.track${planned.length ? ".double" : ""}`, { title: (w ?? p).nodes.join(", ") }, spans);
  if (!w) return [h("span.soft", null, `wave ${i + 1}`), track, h("span.soft", null, `${count(p.nodes.length, "node")} planned ${took(p.afterNanoseconds)} after the begin`)];
  const slow = (w.ready ?? []).reduce((/** @type {any} */ a, /** @type {any} */ b) => (!a || b.nanoseconds > a.nanoseconds ? b : a), null);
  return [position(app, w.seq, `wave ${i + 1}`), track, h("details", null, h("summary", null, `${count(w.nodes.length, "node")}${w.failures ? `, ✕ ${count(w.failures, "failure")}` : ""}${w.done?.seq ? `, ${span(Date.parse(w.done.time) - Date.parse(w.time))}` : ", ◔ not all ready"}`), h("div.soft", null, slow ? `slowest ${slow.node}, ${took(slow.nanoseconds)}` : "", h("br", null), w.nodes.slice(0, 40).map((/** @type {string} */ n, /** @type {number} */ j) => [j ? ", " : "", h("a", { href: app.link({ view: "object", of: "node/" + n }) }, n)])))];
}

/** What would have been expected at the begin, and is expected from here. @param {any} app @param {any} r @param {any} at @param {HTMLElement} into @param {HTMLElement} waves @param {AbortSignal} signal */
async function forecast(app, r, at, into, waves, signal) {
  const ds = keyName(r.daemonSet);
  into.replaceChildren(h("p.soft", null, "the rollout is played from its begin …"));
  try {
    const [p, rest] = await Promise.all([ask("forecast", { ds, at: r.start.seq }, signal), r.ending ? null : ask("forecast", { ds, at: app.at }, signal)]);
    if (signal.aborted) return;
    const plan = p.items[0], left = rest?.items[0], is = r.end?.seq ? Date.parse(r.end.time) - Date.parse(r.start.time) : 0;
    waves.replaceChildren(gantt(app, r, at, plan));
    const ends = left ? (left.nanoseconds ? `in ${took(left.nanoseconds)}, at ${hour(Date.parse(at.time) + left.nanoseconds / 1e6)}` : "not by itself: see why not") : is ? span(is) + " after the begin" : r.ending;
    const row = (/** @type {string} */ name, /** @type {any} */ want, /** @type {any} */ got) => h("tr", null, h("td", null, name), h("td.n", null, want), h("td.n", null, got));
    into.replaceChildren(h("table", { id: "plan-table" }, h("thead", null, h("tr", null, ["", "planned", left ? "so far, and expected" : "was"].map((t, i) => h(i ? "th.n" : "th", { scope: "col" }, t)))), h("tbody", null,
      row("ends", plan.nanoseconds ? took(plan.nanoseconds) + " after the begin" : "not by itself", ends), row("waves", (plan.waves ?? []).length, (r.waves ?? []).length + (left?.waves ? ` and ${left.waves.length} to come` : "")),
      row("peak unavailable", plan.peakUnavailable, r.peakUnavailable), row("nodes that get it", (plan.updated ?? []).length, num(r.nodes)))),
    h("p.soft", null, "Planned is what the controller makes of the cluster as it was at the begin, with kubelets that take as long as the log shows up to there, and nobody who comes in between. The lower bars are the plan."));
  } catch (e) {
    if (!signal.aborted) into.replaceChildren(h("p.bad", null, String(e)));
  }
}

/** Why each node is without an available pod: the causes sum up to what is missing. @param {any} app @param {any} s @param {any} at */
function attribution(app, s, at) {
  if (!s) return h("h2", null, "Nodes without an available pod");
  const without = s.counts.desired - s.counts.available, sum = Object.values(s.causes).reduce((a, b) => a + Number(b), 0);
  const rows = Object.entries(s.causes).map(([why, n]) => h("tr", null, h("td", null, `${causeGlyphs[app.info.causes.indexOf(why)] ?? ""} ${why}`), h("td.n", null, num(Number(n))), h("td.soft.wrap", null, (s.names[why] ?? []).slice(0, 12).map((/** @type {string} */ x, /** @type {number} */ i) => [i ? ", " : "", objectLink(app, "node/" + x)]), Number(n) > 12 ? " …" : "")));
  return h("div", null, h("h2", null, `Nodes without an available pod: ${num(without)} of ${num(s.counts.desired)} at #${num(at.seq)}`),
    without ? h("table", { id: "attribution" }, h("thead", null, h("tr", null, [h("th", { scope: "col" }, "why"), h("th.n", { scope: "col" }, "nodes"), h("th", { scope: "col" }, "of these")])), h("tbody", null, rows), h("tfoot", null, h("tr", null, h("td", null, h("b", null, "sum")), h("td.n", null, h("b", null, num(sum))), h("td.soft", null, `desired ${num(s.counts.desired)} less available ${num(s.counts.available)}`)))) : h("p.good", null, "● every node that should have a pod has an available one"));
}

/** The first plans of it, when they are looked for. @param {any} app @param {any} r @param {number} end */
function decisions(app, r, end) {
  const list = h("div", null), ds = keyName(r.daemonSet);
  return h("details", { id: "decisions", ontoggle: async (/** @type {any} */ e) => {
    if (!e.target.open || list.childElementCount) return;
    try {
      const a = await ask("events", { type: "daemonset.planned", ds, after: r.start.seq - 1, at: end, limit: 30 });
      list.replaceChildren(a.items.length ? h("ul.chain", null, a.items.map((s) => step(app, s))) : empty("Nothing was decided for it yet."), h("p", null, h("a", { href: app.link({ view: "events", ds, type: "daemonset.planned", from: r.start.seq }) }, "all of them")));
    } catch (x) { list.replaceChildren(h("p.bad", null, String(x))); }
  } }, h("summary", null, "Decisions"), list);
}

/** The causes over time, from the changes of cells that the server gives. @param {any} app @param {any} r @param {number} end @param {HTMLCanvasElement} canvas @param {HTMLElement} beside @param {AbortSignal} signal */
async function area(app, r, end, canvas, beside, signal) {
  try {
    const to = Math.min(end, r.start.seq + 65536);
    const res = await fetchPart("deltas", { ds: keyName(r.daemonSet), from: r.start.seq, at: to }, signal);
    const s = new Stretch(r.start.seq, to, await res.arrayBuffer());
    const n = Math.max(2, Math.min(240, to - r.start.seq)), columns = [], at = [];
    for (let i = 0; i < n; i++) {
      at.push(Math.round(r.start.seq + ((to - r.start.seq) * i) / (n - 1)));
      columns.push(causes(s.seek(at[i])));
    }
    draw(columns, canvas);
    const sum = (/** @type {number[]} */ c) => c.slice(1).reduce((x, y) => x + y, 0), some = app.info.causes.map((/** @type {string} */ _, /** @type {number} */ i) => i).filter((/** @type {number} */ i) => i && columns.some((c) => c[i]));
    const peak = columns.reduce((a, c) => (sum(c) > sum(a) ? c : a), columns[0]);
    beside.replaceChildren(h("div.legend", null, some.map((/** @type {number} */ i) => h("span", null, h("i.swatch", { style: { background: colour(causeColours[i]), color: ink(colour(causeColours[i])) } }, causeGlyphs[i]), app.info.causes[i]))),
      h("p.soft", null, sum(peak) ? `at the peak ${count(sum(peak), "node")}: ${some.filter((/** @type {number} */ i) => peak[i]).map((/** @type {number} */ i) => `${peak[i]} ${app.info.causes[i]}`).join(", ")}` : "every node had an available pod all the time", to < end ? `; up to #${num(to)}` : ""),
      some.length ? asTable("causes-table", ["position", ...some.map((/** @type {number} */ i) => app.info.causes[i]), "sum"], columns.map((c, i) => [position(app, at[i]), ...some.map((/** @type {number} */ k) => num(c[k])), num(sum(c))]).filter((_, i) => i % Math.ceil(n / 60) === 0)) : "");
  } catch (e) {
    if (!signal.aborted) beside.replaceChildren(h("p.soft", null, String(e)));
  }
}

/** @param {number[][]} columns @param {HTMLCanvasElement} canvas */
function draw(columns, canvas) {
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
  ctx.fillText(count(most, "node"), 4, 12);
}
