// @ts-check
import { h } from "../lib/dom.js";
import { ask } from "../lib/api.js";
import { count, quote, rolloutName, span, took } from "../lib/words.js";
import { choice, empty, position } from "../lib/parts.js";

/** @param {any} app */
export const command = (app) => (app.state.a && app.state.b ? `rollcall rollout compare ${quote(app.state.a)} ${quote((app.state.beside ? app.info.beside + ":" : "") + app.state.b)}${app.flags(false)}` : "");

/** Two rollouts of the log, or one of it and one of the recording beside. @param {any} app @param {AbortSignal} signal */
export async function render(app, signal) {
  const s = app.state, beside = app.info.beside && s.beside ? 1 : "";
  const all = (await ask("rollouts", {}, signal)).items.map(rolloutName), others = beside ? (await ask("rollouts", { beside }, signal)).items.map(rolloutName) : all;
  const which = app.info.beside ? choice("the other is of", [["", "this log"], ["1", app.info.beside]], String(beside), (v) => app.go({ beside: v, b: null })) : null;
  if (!all.length || !others.length || (!beside && all.length < 2)) return h("div", null, h("div.tools", null, which), empty(`The log has ${all.length === 1 ? "one rollout" : "no rollout"}: two are compared. A rollout of a recording stands beside one of this log with rollcall ui --beside FILE.`));
  const a = all.includes(s.a) ? s.a : all[Math.max(0, all.length - (beside ? 1 : 2))], b = others.includes(s.b) ? s.b : others[others.length - 1];
  if (a !== s.a || b !== s.b) { s.a = a; s.b = b; }
  const c = (await ask("compare", { a, b, beside }, signal)).items[0];
  c.waves ??= [];
  const options = (/** @type {string[]} */ names) => names.map((n) => [n, n]), name = beside ? `${b} in ${app.info.beside}` : b;
  const long = Math.max(1, ...[c.a, c.b].map(lasted)), align = s.align ?? "wave";
  return h("div", null, h("div.tools", null, choice("one", options(all), a, (v) => app.go({ a: v })), choice("the other", options(others), b, (v) => app.go({ b: v })), which, choice("by", [["wave", "wave"], ["time", "time"]], align, (v) => app.go({ align: v }))),
    h("table", null, h("thead", null, h("tr", null, ["", a, name].map((t) => h("th", { scope: "col" }, t)))), h("tbody", null, rows(c).map(([what, x, y]) => h("tr", null, h("td", null, what), h("td", null, x), h("td", null, y, String(x) === String(y) ? null : h("span.soft", null, "  ≠")))))),
    h("h2", null, "Waves"), h("div.gantt", { id: "waves" }, align === "time" ? byTime(c, long) : byWave(c, long)),
    h("h2", null, "First difference in decisions"), c.firstDifference ? h("p", null, side(app, c.firstDifference.a, "a"), side(app, c.firstDifference.b, "b")) : h("p.good", null, "● the decisions are the same"), c.differs?.length ? h("p.soft", null, `otherwise: ${c.differs.join(", ")}`) : null);
}

/** @param {any} c @param {number} long */
const byWave = (c, long) => c.waves.map((/** @type {any} */ w, /** @type {number} */ i) => [[w.a, c.a, "a"], [w.b, c.b, "b"]].map(([x, r, side]) => [h("span.soft", null, side === "a" ? `wave ${i + 1}` : ""), bar(x, r, long, x ? Date.parse(x.time) : 0), h("span.soft", null, x ? `${side}: ${count(x.nodes?.length ?? x.nodes ?? 0, "node")}` : `${side}: none`)]));

/** @param {any} c @param {number} long */
const byTime = (c, long) => [["a", c.a], ["b", c.b]].map(([side, r]) => [h("span", null, side), h("div.track", null, c.waves.map((/** @type {any} */ w) => w[side] && bar(w[side], r, long, 0).firstChild)), h("span.soft", null, lasted(r) ? span(lasted(r)) : "no end")]);

/** @param {any} r */
const lasted = (r) => (r.end?.seq ? Date.parse(r.end.time) - Date.parse(r.start.time) : 0);

/** @param {any} c @returns {any[][]} */
const rows = (c) => [["image", ...[c.a, c.b].map((r) => (r.images ?? []).join(", "))], ["state", c.a.ending ?? "RollingOut", c.b.ending ?? "RollingOut"], ["took", ...[c.a, c.b].map((r) => (lasted(r) ? span(lasted(r)) : "no end"))], ["nodes", c.a.nodes, c.b.nodes], ["waves", c.waves.filter((/** @type {any} */ w) => w.a).length, c.waves.filter((/** @type {any} */ w) => w.b).length], ["peak unavailable", c.a.peakUnavailable, c.b.peakUnavailable], ["pods restarted", c.a.restarted, c.b.restarted], ["failures", c.a.failures, c.b.failures],
  ["slowest nodes", ...[c.slowest.a, c.slowest.b].map((s) => (s ?? []).slice(0, 3).map((/** @type {any} */ x) => `${x.node} ${took(x.nanoseconds)}`).join(", "))]];

/** A wave within its rollout; with a begin, from that on: waves stand below each other. @param {any} w @param {any} r @param {number} long @param {number} begin */
function bar(w, r, long, begin) {
  if (!w?.time) return h("div.track");
  const zero = begin || Date.parse(r.start.time), from = Date.parse(w.time) - zero, to = w.done?.seq ? Date.parse(w.done.time) - zero : long;
  return h("div.track", null, h(`div.span${w.failures ? ".failed" : ""}`, { style: { left: `${Math.min(99, (100 * from) / long)}%`, width: `${Math.max(0.4, (100 * (to - from)) / long)}%` } }));
}

/** @param {any} app @param {any} x @param {string} name */
const side = (app, x, name) => h("span", null, `${name}: `, x ? [position(app, x.seq), ` ${(x.moves ?? []).map((/** @type {any} */ m) => `${m.do} ${m.reason} on ${m.nodes.slice(0, 6).join(", ")}`).join("; ")}`] : "no more", h("br", null));
