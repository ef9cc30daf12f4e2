// @ts-check
import { h, say } from "./dom.js";
import { act, ask as asked } from "./api.js";
import { count, took } from "./words.js";

/** @typedef {{do: string, ds?: string, hold?: string, title: string, says: string, command: string}} Offer */

/** A button that asks why, shows the command that does the same, and has it done. It is only there where something can be done: not in the past, nor over what nobody runs. @param {any} app @param {Offer} offer */
export function action(app, offer) {
  if (!app.info.writes.includes(offer.do) || !app.live) return null;
  return h("button", { id: `do-${offer.do}-${(offer.hold ?? offer.ds ?? "").replace(/\W/g, "-")}`, onclick: () => ask(app, offer) }, offer.title);
}

/** @param {any} app @param {Offer} offer */
function ask(app, offer) {
  const d = /** @type {HTMLDialogElement} */ (document.getElementById("help"));
  const why = /** @type {HTMLInputElement} */ (h("input", { id: "reason", size: 44, required: true, maxlength: 1000, "aria-label": "why", placeholder: "why, for whoever reads the log" }));
  const name = offer.do === "hold" ? /** @type {HTMLInputElement} */ (h("input", { id: "hold-name", size: 20, required: true, maxlength: 63, pattern: "[a-z0-9]([\\-a-z0-9]*[a-z0-9])?", "aria-label": "name of the hold", value: "page" })) : null;
  const said = h("p.bad", { role: "alert" });
  const go = h("button", { type: "submit" }, offer.title);
  const form = h("form", { onsubmit: async (/** @type {Event} */ e) => {
    e.preventDefault();
    go.setAttribute("disabled", "");
    try {
      await act({ do: offer.do, ds: offer.ds, hold: name ? name.value : offer.hold, reason: why.value });
      d.close();
      say(`${offer.title}: done`);
      /** @type {HTMLElement} */ (document.getElementById("main")).focus();
      app.show();
    } catch (x) {
      const r = /** @type {any} */ (x);
      said.textContent = [r.message, r.why, r.todo].filter(Boolean).join(": ");
      go.removeAttribute("disabled");
    }
  } }, h("p", null, offer.says), offer.do === "hold" || offer.do === "lift" ? null : preview(offer), name ? h("p", null, h("label", null, "name  ", name)) : null, h("p", null, h("label", null, "why  ", why)), said, h("p", null, go, " ", h("button", { type: "button", onclick: () => d.close() }, "leave it")), h("p.soft", null, "the same by command: ", h("code.mono", null, offer.command)));
  d.setAttribute("aria-label", offer.title);
  d.replaceChildren(h("h2", null, offer.title), form);
  d.showModal();
  why.focus();
}

/** What it would bring about, as the model has it. Nobody has to wait for that. @param {Offer} offer */
function preview(offer) {
  const p = h("p.soft", { id: "preview" }, "what it would bring about is played …");
  asked("forecast", { ds: offer.ds, do: offer.do }).then((a) => p.replaceChildren(...told(a.items[0])), (e) => p.replaceChildren(h("span.bad", null, [e.message, e.todo].filter(Boolean).join(": "))));
  return p;
}

/** @param {any} o an outcome @returns {any[]} */
function told(o) {
  const was = (o.imagesBefore ?? []).join(", "), is = (o.images ?? []).join(", "), all = (o.updated ?? []).length;
  const blocked = (o.blocked ?? []).map((/** @type {any} */ g) => `${count(g.nodes.length, "node")} (${g.says || g.rule})`).join(", ");
  return [...(was && was !== is ? [h("b", null, `${was} → ${is}`), ". "] : []), all ? `${count(all, "node")} of ${o.nodes} ${all === 1 ? "gets" : "get"} another pod, in ${count((o.waves ?? []).length, "wave")}; at the peak ${o.peakUnavailable} unavailable${o.maxUnavailable ? ` of max ${o.maxUnavailable}` : ""}; ${o.nanoseconds ? `it takes about ${took(o.nanoseconds)}` : "it does not end by itself"}. ` : "No node gets another pod. ", blocked ? `Held back: ${blocked}. ` : "", "This is played by a model: nobody comes in between."];
}

/** What can be done to a DaemonSet. @param {any} app @param {string} ds NAMESPACE/NAME @param {boolean} paused */
export function actions(app, ds, paused) {
  const [namespace, name] = ds.split("/"), flags = app.flags(false);
  return h("span.chips", null,
    paused ? action(app, { do: "resume", ds, title: "Resume", says: `Pods of ${ds} are replaced again.`, command: `rollcall rollout resume ds/${name} -n ${namespace}${flags}` })
      : action(app, { do: "pause", ds, title: "Pause", says: `No pod of ${ds} is replaced until it is resumed; missing ones are made.`, command: `rollcall rollout pause ds/${name} -n ${namespace}${flags}` }),
    action(app, { do: "undo", ds, title: "Undo", says: `${ds} goes back to the template before this one, and that is rolled out.`, command: `rollcall kubectl${flags} -n ${namespace} rollout undo ds/${name}` }),
    action(app, { do: "hold", ds, title: "Hold", says: `Somebody holds the rollouts of ${ds} until that is lifted, or for an hour.`, command: `rollcall emit hold.placed hold/page reason=WHY select:='{"daemonSets":["${ds}"]}'${flags}` }));
}

/** Lifts a hold. @param {any} app @param {string} id OWNER/NAME */
export const lift = (app, id) => action(app, { do: "lift", hold: id, title: "Lift", says: `The hold ${id} ends.`, command: `rollcall emit hold.lifted hold/${id.replace(/^[^/]*\//, "")} reason=WHY${app.flags(false)}` });
