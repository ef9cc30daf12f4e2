// @ts-check
import { h } from "../lib/dom.js";
import { ask } from "../lib/api.js";
import { count } from "../lib/words.js";
import { empty, position, step } from "../lib/parts.js";

/** @param {any} app */
export const command = (app) => `rollcall log${app.flags(false)} --type 'note.*' --type 'hold.*'`;

/** @param {any} app @param {AbortSignal} signal */
export async function render(app, signal) {
  const a = await ask("sources", { at: app.at }, signal), s = a.items[0];
  app.saw(a);
  return h("div", null, h("h2", null, "What others have told"), s.told.length ? h("ul.chain", null, s.told.map((/** @type {any} */ t) => step(app, t))) : empty("Nobody outside has told a note or a hold up to this instant. A program does so with POST /v1/events of the API, or over NATS; try rollcall emit note."),
    h("h2", null, `Events that nobody believes: ${count(s.quarantined, "event")}`), s.rejected.length ? h("table", null, h("tbody", null, s.rejected.map((/** @type {any} */ r) => h("tr", null, h("td", null, position(app, r.Seq ?? r.seq)), h("td", null, r.Type ?? r.type), h("td.wrap", null, r.Why ?? r.why))))) : empty("Every event of the log is believed."),
    h("p.soft", null, "What the gate has refused is not in the log: rollcall rejects list shows it."));
}
