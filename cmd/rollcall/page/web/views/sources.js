// @ts-check
import { h } from "../lib/dom.js";
import { ask } from "../lib/api.js";
import { count, num } from "../lib/words.js";
import { empty, moment, position, step } from "../lib/parts.js";

/** @param {any} app */
export const command = (app) => `rollcall log${app.flags(false)} --type 'note.*' --type 'hold.*'`;

/** @param {any} app @param {AbortSignal} signal */
export async function render(app, signal) {
  const [a, r] = await Promise.all([ask("sources", { at: app.at }, signal), ask("rates", { at: app.at }, signal)]), s = a.items[0];
  app.saw(a);
  const head = (/** @type {string[]} */ names, numbers = 9) => h("thead", null, h("tr", null, names.map((t, i) => h(i && i < numbers ? "th.n" : "th", { scope: "col" }, t))));
  return h("div", null, h("h2", null, "Who has told how much"), h("table", { id: "rates" }, head(["source", "events a minute, of the last ten", "in this minute", "in all"]), h("tbody", null, r.items.map((x) => h("tr", null, h("td", null, x.source), h("td.n", null, (x.recent / 10).toFixed(1)), h("td.n", null, num(x.minute)), h("td.n", null, num(x.events)))))),
    h("h2", null, "What others have told"), s.told.length ? h("ul.chain", null, s.told.map((/** @type {any} */ t) => step(app, t))) : empty("Nobody outside has told a note or a hold up to this instant. A program does so with POST /v1/events of the API, or over NATS; try rollcall emit com.example.hello."),
    h("h2", null, `What the gate has refused: ${count(s.refused.length, "message")}`), refused(app, s),
    h("h2", null, `Events that nobody believes: ${count(s.quarantined, "event")}`), s.rejected.length ? h("table", null, head(["event", "type", "why"], 0), h("tbody", null, s.rejected.map((/** @type {any} */ x) => h("tr", null, h("td", null, position(app, x.seq)), h("td", null, x.type), h("td.wrap", null, `${x.code}: ${x.why}`))))) : empty("Every event of the log is believed."));
}

/** @param {any} app @param {any} s */
function refused(app, s) {
  if (!s.gate) return empty("A recording has none: what was refused is not in the log.");
  if (!s.refused.length) return empty("Nothing was refused in the last seven days.");
  return h("div", null, h("table", { id: "refused" }, h("thead", null, h("tr", null, ["number", "source", "type", "last", "times", "why"].map((t) => h("th", { scope: "col" }, t)))), h("tbody", null, s.refused.map((/** @type {any} */ x) => h("tr", null, h("td", null, x.number), h("td", null, x.source), h("td", null, x.type ?? ""), h("td", null, moment(app, x.last)), h("td.n", null, num(x.count)), h("td.wrap", null, x.why))))),
    h("p.soft", null, "rollcall rejects show NUMBER shows what was sent; when its reason is gone, rollcall rejects retry NUMBER sends it again."));
}
