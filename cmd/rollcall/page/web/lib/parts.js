// @ts-check
import { h } from "./dom.js";
import { clock, hour, span } from "./words.js";

/** @param {any} app @param {number} seq @param {string} [text] */
export const position = (app, seq, text) => h("a.mono", { href: app.link({ view: "events", at: app.state.at, event: seq }), title: "the event" }, text ?? `#${seq}`);

/** @param {any} app @param {string} name as "pod/ns/x" */
export const objectLink = (app, name) => name ? h("a", { href: app.link({ view: "object", of: name }) }, name) : "";

/** When something was, seen from where the page is; beside it, to hover, the time. @param {any} app @param {string} t */
export function moment(app, t) {
  const ago = Date.parse(app.time) - Date.parse(t);
  return h("time.soft", { datetime: t, title: clock(t) }, !(Math.abs(ago) < 30 * 86400e3) ? hour(t) : ago === 0 ? "then" : ago > 0 ? `${span(ago)} ${app.live ? "ago" : "before"}` : `${span(-ago)} after`);
}

/** What a picture shows, as a table that is opened. @param {string} id @param {string[]} head @param {any[][]} rows @param {string} [title] */
export function asTable(id, head, rows, title) {
  return h("details", { id }, h("summary", null, title ?? "as a table"), h("table", null, h("thead", null, h("tr", null, head.map((t, i) => h(i ? "th.n" : "th", { scope: "col" }, t)))), h("tbody", null, rows.map((r) => h("tr", null, r.map((c, i) => h(i ? "td.n" : "td", null, c)))))));
}

/** Why there is nothing to see. @param {...any} why */
export const empty = (...why) => h("p.empty", null, ...why);

/** @param {any} s a step */
export const who = (s) => (s.told ? `told by ${s.told.source}` : [s.actor || s.source, s.verb, s.manager && s.manager !== s.actor ? `via ${s.manager}` : ""].filter(Boolean).join(", "));

/** @param {any} app @param {any} s a step @param {...any} more */
export function step(app, s, ...more) {
  if (s.before) return h("li", null, h("span.soft", null, s.what));
  return h("li", null, h("div", null, position(app, s.seq), " ", moment(app, s.time), " ", h("b", null, s.decision ? "command" : s.type), "  ", s.object ? objectLink(app, s.object) : null, "  ", h("span.wrap", null, s.what)),
    s.decision ? decision(s.decision) : h("div.sub", null, who(s)), ...more);
}

/** @param {any} d */
function decision(d) {
  const b = d.rollout ?? {}, waits = (d.notChosen ?? []).map((/** @type {any} */ w) => `${w.nodes} ${w.for}`).join(", ");
  return h("div.sub", null, `rule: ${d.rule}`, b.desired ? ` · ${b.updated ?? 0}/${b.desired} updated, ${b.unavailable ?? 0} unavailable of max ${b.maxUnavailable ?? 0}` : "", waits ? ` · not chosen: ${waits}` : "");
}

/** @param {string} label @param {any[][]} options value and text @param {string} value @param {(v: string) => void} on */
export const choice = (label, options, value, on) => h("label", null, label, h("select", { id: "choice-" + label.replace(/\W/g, ""), onchange: (/** @type {any} */ e) => on(e.target.value) }, options.map(([v, t]) => h("option", { value: v, selected: v === value }, t ?? v))));
