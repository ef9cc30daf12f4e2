// @ts-check
import { h } from "../lib/dom.js";
import { ask } from "../lib/api.js";
import { count, rolloutName, span, took } from "../lib/words.js";
import { empty, position } from "../lib/parts.js";

/** @param {any} app */
export const command = (app) => (app.state.set || app.state.without || app.state.from ? "rollcall whatif" + app.flags(false) + (app.state.set ? ` --set 'ds/${app.state.set}'` : "") + (app.state.without ? ` --without '#${app.state.without}'` : "") + (app.state.from ? ` --from ${app.state.from}` : "") + ` --runs ${app.state.runs ?? 1}` : "");

/** @param {any} app @param {AbortSignal} signal */
export async function render(app, signal) {
  const s = app.state, o = await ask("overview", {}, signal), ds = o.items[0].daemonSets[0]?.daemonSet.replace(/^ds\//, "") ?? "NAMESPACE/NAME";
  const set = input("set", s.set ?? `${ds}.maxUnavailable=10%`, 44), without = input("without event #", s.without ?? "", 9), from = input("from", s.from ?? "", 9), runs = input("runs", s.runs ?? "1", 4);
  const play = () => app.go({ set: set.field.value, without: without.field.value, from: from.field.value, runs: runs.field.value, asked: 1 });
  const form = h("div.tools", null, set, without, from, runs, h("button", { onclick: play }, "play it"));
  const note = h("p.soft", null, "The history is copied up to the first event that the change touches. From there on it is a model: the real controller and simulated kubelets in played time, with delays that this history shows. Nothing is written.");
  if (!s.asked) return h("div", null, form, note, empty("Nothing was asked yet: change the field above and play it."));
  const a = (await ask("whatif", { set: s.set || [], without: s.without, from: s.from, runs: s.runs }, signal)).items[0];
  return h("div", null, form, h("p", null, "recorded up to ", position(app, a.modelFrom - 1), h("b", null, "  ┃ the model begins  "), `${count(a.eventsFromOutside, "event")} from outside happened again, ${a.skipped} skipped`), note, a.rollouts.map((/** @type {any} */ p, /** @type {number} */ i) => pair(p, a, i)),
    a.rollouts.length ? null : empty("No rollout was under way from there on."), h("p.soft", null, a.firstDifference ? `first difference: ${a.firstDifference.what}` : "no recorded plan is decided otherwise in the model"));
}

/** @param {string} label @param {string} value @param {number} size @returns {any} */
function input(label, value, size) {
  const field = /** @type {HTMLInputElement} */ (h("input", { value, size, id: "whatif-" + label.split(" ")[0] }));
  return Object.assign(h("label", null, label, field), { field });
}

/** @param {any} p @param {any} a @param {number} i */
function pair(p, a, i) {
  const long = (/** @type {any} */ r) => (r?.end?.seq ? Date.parse(r.end.time) - Date.parse(r.start.time) : 0), most = Math.max(1, long(p.recorded), long(p.model));
  const all = a.tookNanoseconds.map((/** @type {any[]} */ run) => run[i]).filter((/** @type {any} */ x) => x !== null).sort((/** @type {number} */ x, /** @type {number} */ y) => x - y);
  const row = (/** @type {string} */ name, /** @type {any} */ r, /** @type {string} */ more) => [h("b", null, name), h("div.track", null, r ? h(`div.span${name === "model" ? ".open" : ""}`, { style: { left: "0", width: `${long(r) ? Math.max(0.5, (100 * long(r)) / most) : 100}%` } }) : null), h("span", null, r ? `${long(r) ? span(long(r)) : "no end"}, peak ${r.peakUnavailable} of ${r.nodes}, ${r.restarted} restarted, ${r.failures} failures${more}` : "none")];
  return h("div.card", { style: { "margin-bottom": "12px" } }, h("h3", null, rolloutName(p.recorded ?? p.model)), h("div.gantt", null, row("recorded", p.recorded, ""), row("model", p.model, all.length > 1 ? `; ${all.length} runs: ${took(all[0])} to ${took(all[all.length - 1])}, median ${took(all[all.length >> 1])}` : "")));
}
