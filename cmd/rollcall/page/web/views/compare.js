// @ts-check
import { h } from "../lib/dom.js";
import { ask } from "../lib/api.js";
import { rolloutName, span, took } from "../lib/words.js";
import { choice, empty, position } from "../lib/parts.js";

/** @param {any} app */
export const command = (app) => (app.state.a && app.state.b ? `rollcall rollout compare '${app.state.a}' '${app.state.b}'${app.flags(false)}` : "");

/** @param {any} app @param {AbortSignal} signal */
export async function render(app, signal) {
  const all = (await ask("rollouts", {}, signal)).items.map(rolloutName);
  if (all.length < 2) return empty(`The log has ${all.length === 1 ? "one rollout" : "no rollout"}: two are compared.`);
  const a = all.includes(app.state.a) ? app.state.a : all[all.length - 2], b = all.includes(app.state.b) ? app.state.b : all[all.length - 1];
  if (a !== app.state.a || b !== app.state.b) { app.state.a = a; app.state.b = b; }
  const c = (await ask("compare", { a, b }, signal)).items[0];
  const options = all.map((/** @type {string} */ n) => [n, n]);
  const long = Math.max(1, ...[c.a, c.b].map(lasted));
  return h("div", null, h("div.tools", null, choice("one", options, a, (v) => app.go({ a: v })), choice("the other", options, b, (v) => app.go({ b: v }))),
    h("table", null, h("thead", null, h("tr", null, ["", a, b].map((t) => h("th", { scope: "col" }, t)))), h("tbody", null, rows(c).map(([name, x, y]) => h("tr", null, h("td", null, name), h("td", null, x), h("td", null, y))))),
    h("h2", null, "Waves"), h("div.gantt", null, c.waves.map((/** @type {any} */ w, /** @type {number} */ i) => [[w.a, c.a, "a"], [w.b, c.b, "b"]].map(([x, r, side]) => [h("span.soft", null, side === "a" ? `wave ${i + 1}` : ""), bar(x, r, long), h("span.soft", null, x ? `${side}: ${x.nodes?.length ?? x.nodes ?? "?"} nodes` : `${side}: none`)]))),
    h("h2", null, "First difference in decisions"), c.firstDifference ? h("p", null, side(app, c.firstDifference.a, "a"), side(app, c.firstDifference.b, "b")) : h("p.good", null, "● the decisions are the same"), c.differs?.length ? h("p.soft", null, `otherwise: ${c.differs.join(", ")}`) : null);
}

/** @param {any} r */
const lasted = (r) => (r.end?.seq ? Date.parse(r.end.time) - Date.parse(r.start.time) : 0);

/** @param {any} c @returns {any[][]} */
const rows = (c) => [["image", ...[c.a, c.b].map((r) => (r.images ?? []).join(", "))], ["state", c.a.ending ?? "RollingOut", c.b.ending ?? "RollingOut"], ["took", ...[c.a, c.b].map((r) => (lasted(r) ? span(lasted(r)) : "no end"))], ["nodes", c.a.nodes, c.b.nodes], ["peak unavailable", c.a.peakUnavailable, c.b.peakUnavailable], ["pods restarted", c.a.restarted, c.b.restarted], ["failures", c.a.failures, c.b.failures],
  ["slowest nodes", ...[c.slowest.a, c.slowest.b].map((s) => (s ?? []).slice(0, 3).map((/** @type {any} */ x) => `${x.node} ${took(x.nanoseconds)}`).join(", "))]];

/** @param {any} w @param {any} r @param {number} long */
function bar(w, r, long) {
  if (!w?.time) return h("div.track");
  const from = Date.parse(w.time) - Date.parse(r.start.time), to = w.done?.seq ? Date.parse(w.done.time) - Date.parse(r.start.time) : long;
  return h("div.track", null, h("div.span", { style: { left: `${Math.min(99, (100 * from) / long)}%`, width: `${Math.max(0.4, (100 * (to - from)) / long)}%` } }));
}

/** @param {any} app @param {any} x @param {string} name */
const side = (app, x, name) => h("span", null, `${name}: `, x ? [position(app, x.seq), ` ${(x.moves ?? []).map((/** @type {any} */ m) => `${m.do} ${m.reason} on ${m.nodes.slice(0, 6).join(", ")}`).join("; ")}`] : "no more", h("br", null));
