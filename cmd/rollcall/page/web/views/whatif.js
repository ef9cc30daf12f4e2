// @ts-check
import { h } from "../lib/dom.js";
import { ask } from "../lib/api.js";
import { count, quote, rolloutName, span, took } from "../lib/words.js";
import { asTable, empty, position } from "../lib/parts.js";

/** @param {any} app */
export const command = (app) => {
  const s = app.state;
  if (!s.set && !s.without && !s.from && !s.insert) return "";
  const line = "rollcall whatif" + app.flags(false) + (s.set ? ` --set ${quote("ds/" + s.set.replace(/^ds\//, ""))}` : "") + (s.without ? ` --without ${quote("#" + String(s.without).replace(/^#/, ""))}` : "") + (s.from ? ` --from ${quote(s.from)}` : "") + ` --runs ${s.runs || 1}`;
  return s.insert ? `${line} --insert ${quote(`-@${s.from || "now"}`)} <<'END'\n${s.insert.trim()}\nEND` : line;
};

/** @param {any} app @param {AbortSignal} signal */
export async function render(app, signal) {
  const s = app.state, o = await ask("overview", {}, signal), ds = o.items[0].daemonSets[0]?.daemonSet.replace(/^ds\//, "") ?? "NAMESPACE/NAME";
  const set = input("set", s.set ?? (s.asked ? "" : `${ds}.maxUnavailable=10%`), 44), without = input("without event #", s.without ?? "", 9), from = input("from", s.from ?? "", 24), runs = input("runs", s.runs ?? "1", 4);
  const insert = /** @type {HTMLTextAreaElement} */ (h("textarea", { id: "whatif-insert", rows: 6, cols: 80, "aria-label": "manifest that is applied besides", value: s.insert ?? "", placeholder: "apiVersion: apps/v1\nkind: DaemonSet\n…" }));
  const play = () => app.go({ set: set.field.value, without: without.field.value.replace(/^#/, ""), from: from.field.value, runs: runs.field.value, insert: insert.value, asked: 1 });
  const form = h("div", null, h("div.tools", null, set, without, from, runs, h("button", { id: "whatif-play", onclick: play }, "play it")), app.info.inserts ? h("details", { open: !!s.insert }, h("summary", null, "apply a manifest besides, at “from” or the end"), insert) : null);
  const note = h("p.soft", null, "The history is copied up to the first event that the change touches. From there on it is a model: the real controller and simulated kubelets in played time, with delays that this history shows. Nothing is written.");
  if (!s.asked) return h("div", null, form, note, empty("Nothing was asked yet: change the field above and play it."));
  if (!command(app)) return h("div", null, form, note, empty("Nothing is changed: set a field, leave an event out, apply a manifest, or say from where it is played."));
  const a = (await ask("whatif", { set: s.set || [], without: s.without, from: s.from, runs: s.runs, insert: s.insert }, signal)).items[0], rollouts = a.rollouts ?? [];
  return h("div", null, form, h("p", null, "recorded up to ", position(app, a.modelFrom - 1), h("b", null, "  ┃ the model begins  "), `${count(a.eventsFromOutside, "event")} from outside happened again, ${a.skipped} skipped${a.inserted ? `, ${a.inserted} written besides` : ""}`), note, rollouts.map((/** @type {any} */ p, /** @type {number} */ i) => pair(p, a, i)),
    rollouts.length ? null : empty("No rollout was under way from there on."), h("p.soft", null, a.firstDifference ? `first difference: ${a.firstDifference.what}` : "no recorded plan is decided otherwise in the model"));
}

/** @param {string} label @param {string} value @param {number} size @returns {any} */
function input(label, value, size) {
  const field = /** @type {HTMLInputElement} */ (h("input", { value, size, id: "whatif-" + label.split(" ")[0] }));
  return Object.assign(h("label", null, label, field), { field });
}

/** What was, and what would have been, with the border at which the model begins. @param {any} p @param {any} a @param {number} i */
function pair(p, a, i) {
  const r = p.recorded ?? p.model, zero = Date.parse(r.start.time), end = (/** @type {any} */ x) => (x ? Date.parse(x.end?.seq ? x.end.time : x.waves?.[x.waves.length - 1]?.time ?? x.start.time) : 0);
  const most = Math.max(zero + 1, end(p.recorded), end(p.model)), x = (/** @type {number} */ t) => Math.max(0, Math.min(100, (100 * (t - zero)) / (most - zero)));
  const all = a.tookNanoseconds.map((/** @type {any[]} */ run) => run[i]).filter((/** @type {any} */ t) => t !== null).sort((/** @type {number} */ m, /** @type {number} */ n) => m - n);
  const recorded = (p.recorded?.waves ?? []).filter((/** @type {any} */ w) => w.seq < a.modelFrom), border = p.model && p.model.start.seq < a.modelFrom ? x(Date.parse(p.model.waves?.find((/** @type {any} */ w) => w.seq >= a.modelFrom)?.time ?? recorded[recorded.length - 1]?.time ?? r.start.time)) : 0;
  const track = (/** @type {any} */ o, /** @type {boolean} */ model) => h("div.track.tall", null, o ? (o.waves ?? []).map((/** @type {any} */ w) => h(`div.span${model && w.seq >= a.modelFrom ? ".open" : w.failures ? ".failed" : ""}`, { style: { left: x(Date.parse(w.time)) + "%", width: Math.max(0.4, x(Date.parse(w.done?.seq ? w.done.time : o.end?.time ?? w.time)) - x(Date.parse(w.time))) + "%" } })) : null, model ? h("div.border", { title: `the model begins with #${a.modelFrom}`, style: { left: border + "%" } }) : null);
  const says = (/** @type {any} */ o) => (o ? `${o.end?.seq ? span(end(o) - Date.parse(o.start.time)) : "no end"}, peak ${o.peakUnavailable} of ${o.nodes}, ${o.restarted} restarted, ${count(o.failures, "failure")}` : "none");
  return h("div.card", { style: { "margin-bottom": "12px" } }, h("h3", null, rolloutName(r)), h("div.gantt", null, h("b", null, "recorded"), track(p.recorded, false), h("span", null, says(p.recorded)), h("b", null, "┃ model"), track(p.model, true), h("span", null, says(p.model)), spread(all, most - zero)),
    asTable(`waves-${i}`, ["wave", "recorded: begins", "nodes", "model: begins", "nodes"], Array.from({ length: Math.max(p.recorded?.waves?.length ?? 0, p.model?.waves?.length ?? 0) }, (_, k) => [k + 1, ...[p.recorded, p.model].flatMap((o) => { const w = o?.waves?.[k]; return w ? [span(Date.parse(w.time) - zero), w.nodes.length] : ["-", "-"]; })])));
}

/** How long the runs of the model took: a stroke each. @param {number[]} all @param {number} most */
function spread(all, most) {
  if (all.length < 2) return [];
  const scale = Math.max(most, all[all.length - 1] / 1e6);
  return [h("span.soft", null, `${all.length} runs`), h("div.track", null, all.map((t) => h("div.span.run", { style: { left: (99.5 * t) / 1e6 / scale + "%", width: "2px" } }))), h("span", null, `${took(all[0])} to ${took(all[all.length - 1])}, median ${took(all[all.length >> 1])}`)];
}
