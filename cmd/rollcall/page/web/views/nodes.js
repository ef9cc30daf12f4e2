// @ts-check
import { h, colour, ink } from "../lib/dom.js";
import { ask, fetchPart } from "../lib/api.js";
import { cellBytes, causes, phases } from "../lib/cells.js";
import { Grid, ageGlyphs, ageNames } from "../lib/grid.js";
import { causeColours, causeGlyphs, glyphs, num, quote } from "../lib/words.js";
import { choice, empty } from "../lib/parts.js";

/** @param {any} app */
export const command = (app) => {
  const s = app.state, [namespace, name] = shown.split("/");
  return "rollcall top" + (name ? ` ds/${name} -n ${namespace}` : "") + " --once" + (["cause", "revision"].includes(s.color) ? ` --by ${s.color}` : "") + (s.group && labels?.labels.some((/** @type {any} */ l) => l.key === s.group && l.values.length > 1) ? ` --group ${quote(s.group)}` : "") + app.flags();
};

/** The DaemonSet whose nodes are shown. */
let shown = "";

/** @type {Grid|null} */
let grid = null;
/** @type {any} */
let labels = null;
/** @type {HTMLElement|null} */
let legend = null, listing = null;

/** @param {any} app @param {AbortSignal} signal */
export async function render(app, signal) {
  const o = await ask("overview", { at: app.at }, signal);
  const sets = o.items[0].daemonSets.map((/** @type {any} */ s) => s.daemonSet.replace(/^ds\//, ""));
  shown = "";
  if (!sets.length) { app.saw(o); return empty("There is no DaemonSet at this instant, so there is nothing that a node could run. kubectl apply makes one; the bar below leads to other instants."); }
  const ds = sets.includes(app.state.ds) ? app.state.ds : sets[0];
  shown = ds;
  const [n] = await Promise.all([ask("nodes", { at: app.at }, signal), app.feed.at(ds, signal)]);
  labels = n.items[0];
  if (!app.live) app.saw(n);
  const mode = app.state.color ?? "phase";
  const g = grid && grid.isConnected ? grid : new Grid();
  grid = g;
  g.names = labels.names; g.epoch = Date.parse(app.info.epoch); g.now = Date.parse(app.time); g.mode = mode; g.cells = app.feed.cells;
  g.height = Math.max(240, innerHeight - 360);
  g.marked = mode === "changed" && app.state.mark ? new Uint8Array(await (await fetchPart("state", { format: "bin", ds, at: app.state.mark }, signal)).arrayBuffer()) : null;
  g.describe = (p) => card(app, g, p);
  g.choose = (p) => app.go({ view: "object", of: "node/" + labels.names[p] });
  const group = app.state.group ?? "";
  g.layoutOf = groups(group);
  legend = h("div.legend"); listing = h("div");
  const by = labels.labels.filter((/** @type {any} */ l) => l.values.length > 1).map((/** @type {any} */ l) => [l.key, l.key.replace(/^.*\//, "")]);
  return h("div", null, h("div.tools", null, choice("DaemonSet", sets.map((/** @type {string} */ s) => [s, s]), ds, (v) => app.go({ ds: v })), choice("colour", [["phase", "phase"], ["cause", "why not available"], ["revision", "revision"], ["age", "age of the pod"], ["changed", "changed since the mark"]], mode, (v) => app.go({ color: v })),
    choice("group", [["", "none"], ...by], group, (v) => app.go({ group: v }))), mode === "changed" && !app.state.mark ? h("p.soft", null, "No mark is set: go to an instant and press m.") : null, legend, g, h("details", { id: "cells-table" }, h("summary", null, "as a table"), listing));
}

/** Draws the cells where the page is now. @param {any} app */
export function frame(app) {
  const g = grid;
  if (!g || !g.isConnected || !legend) return;
  g.cells = app.feed.cells; g.now = Date.parse(app.time) || g.now;
  if (g.cells.length / cellBytes > g.names.length) app.refresh(); // nodes have come
  g.draw();
  key(app, g);
}

/** @param {any} app @param {Grid} g */
function key(app, g) {
  if (!legend || !listing) return;
  const entry = (/** @type {string} */ token, /** @type {string} */ sign, /** @type {string} */ text) => h("span", null, h("i.swatch", { style: { background: colour(token), color: ink(colour(token)) } }, sign), text);
  const p = phases(g.cells), c = causes(g.cells), i = app.info;
  const entries = {
    phase: () => i.phases.map((/** @type {string} */ t, /** @type {number} */ k) => (k && p[k] ? entry(`--p${k}`, glyphs[k], `${t} ${num(p[k])}`) : null)),
    cause: () => i.causes.map((/** @type {string} */ t, /** @type {number} */ k) => (c[k] ? entry(causeColours[k], causeGlyphs[k], `${k ? t : "available, or not wanted"} ${num(c[k])}`) : null)),
    age: () => ageNames.map((t, k) => entry(["--p3", "--p4", "--p5", "--p6", "--p2"][k], ageGlyphs[k], t)),
    changed: () => [entry("--p7", "Δ", "another phase or revision than at the mark"), entry("--p1", "=", "the same")],
    revision: () => [...new Set(Array.from({ length: g.cells.length / cellBytes }, (_, k) => g.cells[k * cellBytes + 1]))].sort((a, b) => a - b).map((r) => entry(["--p2", "--p6", "--p5", "--p7", "--p3", "--p8", "--p4", "--p9"][r % 8], String(r || "–"), r ? `revision ${r}` : "no pod, or revision not known")),
  }[g.mode] ?? (() => []);
  legend.replaceChildren(...entries().filter(Boolean));
  const names = (/** @type {number} */ k) => { const all = []; for (let q = 0; q < g.cells.length / cellBytes && all.length < 12; q++) if ((g.cells[q * cellBytes] & 15) === k) all.push(g.names[q]); return all; };
  if (!(/** @type {any} */ (document.getElementById("cells-table"))?.open) && listing.childElementCount) return;
  listing.replaceChildren(h("table", null, h("thead", null, h("tr", null, ["phase", "nodes", "of these"].map((t) => h("th", { scope: "col" }, t)))), h("tbody", null, i.phases.map((/** @type {string} */ t, /** @type {number} */ k) => (k && p[k] ? h("tr", null, h("td", null, `${glyphs[k]} ${t}`), h("td", null, num(p[k])), h("td.soft.wrap", null, names(k).map((n, j) => [j ? ", " : "", h("a", { href: app.link({ view: "object", of: "node/" + n }) }, n)]), p[k] > 12 ? " …" : "")) : null)))));
}

/** @param {string} by @returns {import("../lib/grid.js").Group[]} */
function groups(by) {
  const all = labels.names.map((/** @type {string} */ _, /** @type {number} */ i) => i);
  const l = labels.labels.find((/** @type {any} */ x) => x.key === by);
  if (!l) return [{ title: "", places: all }];
  const out = l.values.map((/** @type {string} */ v) => ({ title: v || "(empty)", places: /** @type {number[]} */ ([]) }));
  const none = { title: "without the label", places: /** @type {number[]} */ ([]) };
  all.forEach((/** @type {number} */ i) => (l.of[i] >= 0 ? out[l.of[i]] : none).places.push(i));
  out.sort((/** @type {any} */ a, /** @type {any} */ b) => a.title.localeCompare(b.title));
  return [...out, none].filter((g) => g.places.length);
}

/** @param {any} app @param {Grid} g @param {number} p */
function card(app, g, p) {
  const c = g.cells[p * cellBytes], rev = g.cells[p * cellBytes + 1], age = g.ageOf(p);
  const of = labels.labels.filter((/** @type {any} */ l) => /zone|instance-type|pool/.test(l.key) && l.of[p] >= 0).map((/** @type {any} */ l) => l.values[l.of[p]]).join(" · ");
  return h("div", null, h("b", null, g.names[p]), h("div", null, `${glyphs[c & 15]} ${app.info.phases[c & 15]}${rev ? `, revision ${rev}` : ""}`), c >> 4 ? h("div", null, `not available: ${app.info.causes[c >> 4]}`) : null, age ? h("div", null, `ready for ${age}`) : null, of ? h("div", null, of) : null);
}
