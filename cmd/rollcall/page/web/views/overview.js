// @ts-check
import { h } from "../lib/dom.js";
import { ask } from "../lib/api.js";
import { causeColours, causeGlyphs, clock, num, rolloutName, span } from "../lib/words.js";
import { empty, objectLink, position } from "../lib/parts.js";
import { actions, lift } from "../lib/actions.js";

/** @param {any} app */
export const command = (app) => `rollcall top --once${app.flags()}`;

/** @param {any} app @param {AbortSignal} signal */
export async function render(app, signal) {
  const a = await ask("overview", { at: app.at }, signal), list = h("div", { id: "rollouts" }, h("p.soft", null, "rollouts are read from the log …")), open = h("b", null, "…");
  app.saw(a);
  // What is said of rollouts takes as long as the log is; nothing waits for it.
  const rolls = ask("rollouts", { at: app.at }, signal).then((r) => {
    open.textContent = num(r.items.filter((x) => !x.ending).length);
    list.replaceChildren(table(app, r.items));
  }, (e) => { if (!signal.aborted) list.replaceChildren(h("p.bad", null, String(e))); });
  const lag = h("b", null, "…");
  if (app.info.live) ask("instance", {}, signal).then((r) => { const n = r.items[0].behind; if (n === undefined) lag.className = "none"; else lag.textContent = num(n); }, () => { lag.textContent = "?"; });
  if (app.lasted) await Promise.race([rolls, new Promise((later) => setTimeout(later, 150))]); // what is there is not taken away for it
  const o = a.items[0], sets = o.daemonSets;
  if (app.live) app.feed.of((sets[0]?.daemonSet ?? "ds/default/none").replace(/^ds\//, "")); // nothing waits for its cells
  return h("div", null, scene(app), tiles(app, o, open, lag), stuck(app, sets), holds(app, o.holds),
    h("h2", null, "DaemonSets"), sets.length ? h("div.cards", null, sets.map((/** @type {any} */ s) => card(app, s, o.paused))) : empty("There is no DaemonSet at this instant. kubectl apply makes one; the bar below leads to other instants."),
    h("h2", null, "Rollouts"), list);
}

/** What holds rollouts from outside. @param {any} app @param {any[]} all */
function holds(app, all) {
  if (!all.length) return null;
  return h("div", null, h("h2", null, "Holds"), h("ul", null, all.map((x) => h("li", null, h("b", null, x.id), `: ${x.reason}`, x.until ? [", until ", h("time.soft", { datetime: x.until }, clock(x.until))] : "", "  ", lift(app, x.id)))));
}

/** @param {any} app */
function scene(app) {
  const s = app.info.scene;
  return s ? h("div.scene", null, h("b", null, `demo ${s.name}`), s.lines.map((/** @type {string} */ l) => h("p", null, l))) : null;
}

/** @param {any} app @param {any} o @param {HTMLElement} open how many rollouts are under way @param {HTMLElement} lag how far the instance is behind */
function tiles(app, o, open, lag) {
  const tile = (/** @type {any} */ n, /** @type {string} */ what, /** @type {string} */ href) => h("div.tile", null, h("b", null, href ? h("a", { href }, n) : n), h("span", null, what));
  return h("div.tiles", null, tile(num(o.nodes), "nodes", app.link({ view: "nodes" })), tile(num(o.notReady.length), "nodes not ready", app.link({ view: "nodes", color: "cause" })), tile(num(o.daemonSets.length), "DaemonSets", ""),
    h("div.tile", null, h("a", { href: app.link({ view: "rollouts" }) }, open), h("span", null, "rollouts under way")), tile(num(o.perMinute), "events in the last minute", app.link({ view: "events" })),
    app.info.live ? h("div.tile", { title: "events of the log that the instance has not taken yet" }, h("a", { href: app.link({ view: "health" }) }, lag), h("span", null, "events behind")) : null);
}

/** @param {any} app @param {any[]} sets */
function stuck(app, sets) {
  const held = sets.filter((s) => s.stalled || s.waits);
  if (!held.length) return null;
  return h("div", null, h("h2", null, "What does not go on by itself"), held.map((s) => h("div.problem", null, h("p", null, h("b", null, objectLink(app, s.daemonSet)), "  ", s.stalled || s.waits),
    h("p.soft", null, Object.entries(s.names).map(([why, nodes]) => `${s.causes[why]} ${why}: ${nodes.slice(0, 5).join(", ")}${s.causes[why] > 5 ? " …" : ""}`).join(" · ")), h("p", null, h("a", { href: app.link({ view: "object", of: s.daemonSet, tab: "why-not" }) }, "why not?")))));
}

/** @param {any} app @param {any} s @param {string[]} paused */
function card(app, s, paused) {
  const c = s.counts, order = app.info.causes, name = s.daemonSet.replace(/^ds\//, ""), without = c.desired - c.available;
  const part = (/** @type {number} */ n, /** @type {string} */ token) => h("i", { style: { width: `${(100 * n) / Math.max(1, c.desired)}%`, background: `var(${token})` } });
  return h("div.card", null, h("h3", null, objectLink(app, s.daemonSet), s.deleted ? h("span.bad", null, "  deleted") : null, paused.includes(name) ? h("span.bad", null, "  ‖ paused") : null), h("div.soft.wrap", null, `${(s.images ?? []).join(", ")}  revision ${s.revision ?? "?"}`),
    h("div.meter", { role: "img", "aria-label": `${c.available} of ${c.desired} available` }, part(c.available, "--p5"), Object.entries(s.causes).map(([why, n]) => part(Number(n), causeColours[order.indexOf(why)] ?? "--p2"))),
    h("div", null, `${num(c.available)} of ${num(c.desired)} available, ${num(c.updated)} updated`),
    without > 0 ? h("ul", null, Object.entries(s.causes).map(([why, n]) => h("li", { title: (s.names[why] ?? []).join(", ") }, `${causeGlyphs[order.indexOf(why)] ?? ""} ${n} ${why}  `, h("span.soft", null, (s.names[why] ?? []).slice(0, 3).join(", "))))) : h("div.good", null, "● every node that should have a pod has an available one"),
    h("p", null, h("a", { href: app.link({ view: "nodes", ds: name }) }, "nodes"), " · ", h("a", { href: app.link({ view: "rollouts", rollout: null, ds: name }) }, "rollouts"), " · ", h("a", { href: app.link({ view: "object", of: s.daemonSet, tab: "why-not" }) }, "why not?")), s.deleted ? null : actions(app, name, paused.includes(name)));
}

/** @param {any} app @param {any[]} rolls */
export function table(app, rolls) {
  if (!rolls.length) return empty("No rollout has begun up to this instant.");
  const rows = [...rolls].reverse().map((r) => {
    const name = rolloutName(r);
    const state = r.ending ?? "RollingOut", sign = r.ending === "RolledOut" ? "●" : r.ending ? "✕" : "◔";
    return h("tr", { "aria-selected": app.state.rollout === name }, h("td", null, h("a", { href: app.link({ view: "rollouts", rollout: name }) }, name)), h("td.wrap", null, (r.images ?? []).join(", ")), h("td.keep", null, `${sign} ${state}`),
      h("td", null, position(app, r.start.seq), r.end?.seq ? [" → ", position(app, r.end.seq)] : null), h("td.n", null, r.end?.seq ? span(Date.parse(r.end.time) - Date.parse(r.start.time)) : "-"), h("td.n", null, num(r.nodes)), h("td.n", null, (r.waves ?? []).length), h("td.n", null, r.peakUnavailable), h("td.n", null, r.failures), h("td.wrap", null, `${r.who || "-"}${r.why ? ": " + r.why : ""}`));
  });
  const head = ["rollout", "image", "state", "from, to", "took", "nodes", "waves", "peak unavailable", "failures", "who, why"];
  return h("table", null, h("thead", null, h("tr", null, head.map((t, i) => h(i > 3 && i < 9 ? "th.n" : "th", { scope: "col" }, t)))), h("tbody", null, rows));
}
