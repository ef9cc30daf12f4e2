// @ts-check
import { h } from "../lib/dom.js";
import { ask } from "../lib/api.js";
import { clock, count, num, span } from "../lib/words.js";

/** @param {any} app */
export const command = (app) => `rollcall state --hash${app.flags()}`;

/** @param {any} app @param {AbortSignal} signal */
export async function render(app, signal) {
  const [a, i] = await Promise.all([ask("health", { at: app.at }, signal), app.info.live ? ask("instance", {}, signal) : null]), x = a.items[0], c = a.coverage;
  if (!app.live) app.saw(a);
  const row = (/** @type {string} */ name, /** @type {any} */ value, /** @type {boolean} */ good = true) => h("tr", null, h("td", null, name), h("td.wrap", null, h(good ? "span" : "span.bad", null, good ? "" : "✕ ", value)));
  const checks = i?.items[0].checks ?? [], members = i?.items[0].members ?? [], checked = (/** @type {any} */ k) => row(k.name, (k.good ? "● " : "") + k.state, k.good);
  return h("div", null, h("h2", null, "Log"), h("table", null, h("tbody", null, row("covers", `#${num(c.first)} to #${num(c.last)}, ${span(Date.parse(c.to) - Date.parse(c.from))}, ${clock(c.from)} to ${clock(c.to)}`), row("state at", `#${num(a.at.seq)}`), row("sha256 of the state", h("code.mono", { id: "state-hash" }, x.sha256)), row("chain over all events", h("code.mono", null, x.chain)), row("not believed", count(x.quarantined, "event"), x.quarantined === 0), row("pages that follow", num(x.streams)))),
    h("h2", null, "Stream and keyframes"), x.log.length ? h("table", { id: "facts" }, h("tbody", null, x.log.map((/** @type {any} */ k) => row(k.name, k.says)))) : h("p.empty", null, "There is nothing beside the log."),
    h("h2", null, "Members: servers that keep the log"), members.length ? h("table", { id: "members" }, h("tbody", null, members.map(checked))) : h("p.empty", null, "No server keeps it: it is read from files."),
    h("h2", null, "Instance"), checks.length ? h("table", { id: "checks" }, h("tbody", null, checks.map(checked))) : h("p.empty", null, "No instance runs on this log: the page reads what is there. rollcall up goes on with a data directory."), h("p.soft", null, `rollcall ${app.info.version}`));
}
