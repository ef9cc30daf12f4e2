// @ts-check
import { h } from "../lib/dom.js";
import { ask } from "../lib/api.js";
import { count } from "../lib/words.js";
import { empty, objectLink, position, step } from "../lib/parts.js";

/** @param {any} app */
export const command = (app) => (app.state.mark ? `rollcall diff ${app.state.mark} ${app.state.at || "now"}${app.flags(false)}` : "");

const shown = 60, most = 200;

/** @param {any} app @param {AbortSignal} signal */
export async function render(app, signal) {
  if (!app.state.mark) return empty("No mark is set. Go to an instant and press m: what differs between the mark and where you are is shown here.");
  const a = await ask("diff", { from: app.state.mark, at: app.at }, signal), d = { ...a.items[0], groups: a.items[0].groups ?? [] };
  app.saw(a);
  const signs = { created: "+", deleted: "−", changed: "~" };
  const head = h("p", null, "from ", position(app, d.from), " to ", position(app, d.to), `: ${count(d.groups.reduce((/** @type {number} */ n, /** @type {any} */ g) => n + g.changes.length, 0), "object")} differ, by ${count(d.groups.length, "cause")}  `, h("a", { href: app.link({ view: "nodes", color: "changed" }) }, "on the nodes"));
  if (!d.groups.length) return h("div", null, head, empty("Nothing differs between the mark and this instant."));
  return h("div", null, head, d.groups.slice(0, most).map((/** @type {any} */ g, /** @type {number} */ i) => h("div.card", { style: { "margin-bottom": "12px" } }, g.cause ? h("ul.chain", null, step(app, g.cause)) : h("p", null, `told by ${g.source}`),
    h("details", { open: i === 0 || d.groups.length < 4 }, h("summary", null, count(g.changes.length, "object")), h("table", null, h("tbody", null, g.changes.slice(0, shown).map((/** @type {any} */ c) => h("tr", null, h("td", { title: c.is }, /** @type {any} */ (signs)[c.is]), h("td", null, objectLink(app, c.object)), h("td.wrap", null, c.is === "deleted" ? h("span.soft", null, "deleted") : c.what), h("td.n", null, position(app, c.by)))))), g.changes.length > shown ? h("p.soft", null, `and ${g.changes.length - shown} more: the command shows all`) : null))), d.groups.length > most ? h("p.soft", null, `and ${count(d.groups.length - most, "cause")} more: the command shows all`) : null);
}
