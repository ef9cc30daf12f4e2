// @ts-check
import { h } from "../lib/dom.js";
import { ask } from "../lib/api.js";
import { clock, count, quote, took } from "../lib/words.js";
import { empty, objectLink, position, step } from "../lib/parts.js";

/** @param {any} app */
export const command = (app) => {
  const of = app.state.of, tab = app.state.tab ?? "why";
  if (!of) return "";
  const [kind, namespace, name] = of.split("/");
  switch (tab) {
    case "yaml": return `rollcall kubectl${app.flags()} get ${name ? `${kind}/${name} -n ${namespace}` : of} -o yaml`;
    case "life": return `rollcall search ${quote(name ?? namespace)} --kind ${kind}${name ? ` -n ${namespace}` : ""}${app.flags(false)}`;
  }
  return `rollcall ${tab} ${of}${app.flags()}`;
};

/** @param {any} app @param {AbortSignal} signal */
export async function render(app, signal) {
  if (!app.state.of) return pick(app, signal);
  const tab = app.state.tab ?? "why", of = app.state.of;
  const a = await ask("object", { of, at: app.at }, signal), o = a.items[0];
  app.saw(a);
  const tabs = ["why", "why-not", "yaml", "life"].map((t) => h("button", { "aria-pressed": String(t === tab), id: "tab-" + t, onclick: () => app.go({ tab: t }) }, { why: "Why", "why-not": "Why not", yaml: "YAML", life: "Life" }[t]));
  return h("div", null, h("p", null, h("b", null, o.object), "  ", o.exists ? h("span.good", null, "● there") : h("span.bad", null, "✕ gone at this instant"), "  ", h("a", { href: app.link({ of: null }) }, "choose another")), line(app, o), h("div.tools", null, tabs), await panel(app, tab, o, signal));
}

/** @param {any} app @param {AbortSignal} signal */
async function pick(app, signal) {
  const kind = app.state.kind ?? "DaemonSet", a = await ask("names", { kind, at: app.at }, signal);
  app.saw(a);
  const input = /** @type {HTMLInputElement} */ (h("input", { size: 40, placeholder: "pod/NAMESPACE/NAME, node/NAME, ds/NAMESPACE/NAME", "aria-label": "object", onkeydown: (/** @type {KeyboardEvent} */ e) => { if (e.key === "Enter") app.go({ of: input.value }); } }));
  const kinds = ["DaemonSet", "Node", "Pod", "ControllerRevision", "Namespace"];
  return h("div", null, h("div.tools", null, input, kinds.map((k) => h("button", { "aria-pressed": String(k === kind), onclick: () => app.go({ kind: k }) }, k))),
    a.items.length ? h("ul", null, a.items.slice(0, 500).map((n) => h("li", null, objectLink(app, n)))) : empty(`There is no ${kind} at this instant. An object that is gone is found by its name.`), a.items.length > 500 ? h("p.soft", null, `and ${a.items.length - 500} more: write the name`) : null);
}

/** The facts of its life on a line. @param {any} app @param {any} o */
function line(app, o) {
  if (o.life.length < 2) return null;
  const from = Date.parse(o.life[0].time), to = Math.max(from + 1, Date.parse(o.life[o.life.length - 1].time));
  return h("div.gantt", null, h("span.soft", null, clock(o.life[0].time)), h("div.track", null, o.life.map((/** @type {any} */ s) => h("a.span", { href: app.link({ at: s.seq }), title: `#${s.seq} ${s.type} ${s.what}`, "aria-label": `#${s.seq} ${s.type}`, style: { left: `${(99.5 * (Date.parse(s.time) - from)) / (to - from)}%`, width: "4px" } }))), h("span.soft", null, clock(o.life[o.life.length - 1].time)));
}

/** @param {any} app @param {string} tab @param {any} o @param {AbortSignal} signal */
async function panel(app, tab, o, signal) {
  switch (tab) {
    case "yaml": return o.exists ? h("pre", { tabindex: 0 }, o.yaml) : empty("The object is not there at this instant: go to one of its life, above.");
    case "life": return h("div", null, o.older ? h("p.soft", null, `the last ${o.life.length}; ${count(o.older, "fact")} before`) : null, h("ul.chain", null, o.life.map((/** @type {any} */ s) => step(app, s))));
    case "why-not": return whyNot(app, await ask("why-not", { of: app.state.of, at: app.at }, signal));
  }
  const x = (await ask("why", { of: app.state.of, at: app.at }, signal)).items[0];
  return h("div", null, h("p", null, h("b", null, x.object), ` ${x.is}`, x.livedNs ? `, after ${took(x.livedNs)}` : "", "  ", h("a", { href: app.link({ view: "graph", event: x.steps[0].seq }) }, "as a graph")), h("ol.chain", null, x.steps.map((/** @type {any} */ s) => step(app, s))), h("p.soft", null, x.known ? "The chain is complete: every link is in the log, and the last came from outside." : "The chain ends there: what it comes from is not in the log."));
}

/** @param {any} app @param {any} a */
function whyNot(app, a) {
  if (!a.items.length) return empty("There is no DaemonSet at this instant.");
  return h("div", null, a.items.map((/** @type {any} */ w) => h("div.card", null, h("h3", null, w.daemonSet, w.node ? ` on ${w.node}` : ""),
    (w.blockers ?? []).length ? h("ol", null, w.blockers.map((/** @type {any} */ b) => h("li", null, h("b", null, b.rule), b.says ? `: ${b.says}` : "", b.limit ? `  (${b.used} of ${b.limit})` : "", (b.nodes ?? []).length ? h("div.soft.wrap", null, `${count(b.nodes.length, "node")}: `, b.nodes.slice(0, 12).map((/** @type {string} */ n, /** @type {number} */ i) => [i ? ", " : "", objectLink(app, "node/" + n)]), b.nodes.length > 12 ? " …" : "") : null,
      (b.holders ?? []).length ? h("div.soft.wrap", null, "held by ", b.holders.slice(0, 8).map((/** @type {any} */ x, /** @type {number} */ i) => [i ? ", " : "", x.pod ? objectLink(app, x.pod) : x.node])) : null, b.since ? h("div.soft", null, "since ", position(app, b.since.seq), ` ${b.since.object ?? ""} ${b.since.what}`) : null, b.until ? h("div.soft", null, `passes by itself at ${clock(b.until)}`) : null)))
      : (w.due ?? []).length ? h("p", null, `nothing holds it back: ${count(w.due.length, "command")} due`) : h("p.good", null, "● it is as it should be", w.since ? [", since ", position(app, w.since.seq)] : null))));
}
