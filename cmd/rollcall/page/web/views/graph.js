// @ts-check
import { h, svg } from "../lib/dom.js";
import { ask } from "../lib/api.js";
import { empty } from "../lib/parts.js";

/** @param {any} app */
export const command = (app) => (app.state.event ? `rollcall effects ${app.state.event}${app.flags(false)}` : "");

const wide = 250, high = 62, gapX = 34, gapY = 14;

/** What an event comes from, and what it has led to: time goes to the right. @param {any} app @param {AbortSignal} signal */
export async function render(app, signal) {
  const at = app.state.event || app.at || "";
  const a = await ask("event", { at }, signal), e = a.items[0];
  if (app.live || !app.state.at) { app.seq = Math.max(app.seq, a.at.seq); }
  const before = [...e.from].reverse(), after = (e.effects.steps ?? []).slice(0, 24);
  const column = (/** @type {number} */ i) => 10 + i * (wide + gapX);
  const rows = Math.max(1, Math.ceil(after.length / 2)), height = Math.max(160, rows * (high + gapY) + 30), mid = height / 2 - high / 2;
  const boxes = [], lines = [];
  before.forEach((s, i) => { boxes.push(box(app, s, column(i), mid)); lines.push(line(column(i), mid, column(i + 1), mid)); });
  const here = before.length;
  boxes.push(box(app, e, column(here), mid, true));
  after.forEach((/** @type {any} */ s, /** @type {number} */ i) => {
    const x = column(here + 1 + (i % 2)), y = 10 + Math.floor(i / 2) * (high + gapY);
    boxes.push(box(app, s, x, y));
    if (i % 2 === 0) lines.push(line(column(here), mid, x, y)); else lines.push(line(column(here + 1), y, x, y));
  });
  const width = column(here + (after.length > 1 ? 3 : after.length ? 2 : 1));
  const drawing = svg("svg", { class: "graph", viewBox: `0 0 ${width} ${height}`, style: { "min-width": Math.min(width, 2400) * 0.8 + "px", height: "auto" }, role: "img", "aria-label": "causes to the left, effects to the right; the list is below" }, lines, boxes);
  const hidden = e.effects.plans + e.effects.podsCreated + e.effects.podsDeleted;
  return h("div", null, h("p", null, h("b", null, `#${e.seq} ${e.type} ${e.object ?? ""}`), `  ${e.what}`), h("p.soft", null, `comes from ${before.length} steps; has led to ${e.effects.plans} plans on ${e.effects.nodes} nodes, ${e.effects.podsDeleted} pods deleted, ${e.effects.podsCreated} created${hidden > after.length ? `; the first ${after.length} effects are drawn` : ""}`),
    h("div", { style: { overflow: "auto" } }, drawing), !before.length && !after.length ? empty("The event comes from outside, and nothing came of it.") : null,
    h("p", null, h("button", { onclick: () => save(drawing, e.seq) }, "save as SVG")));
}

/** @param {any} app @param {any} s @param {number} x @param {number} y @param {boolean} [here] */
function box(app, s, x, y, here) {
  const short = (/** @type {string} */ t) => (t.length > 36 ? t.slice(0, 35) + "…" : t);
  return svg("a", { href: app.link({ event: s.seq }) }, svg("title", null, s.what), svg("rect", { class: "box", x, y, width: wide, height: high, rx: 6, "stroke-width": here ? 3 : 1 }),
    svg("text", { x: x + 10, y: y + 20, "font-weight": 600 }, short(`#${s.seq} ${s.decision ? "command" : s.type}`)), svg("text", { x: x + 10, y: y + 37 }, short(s.object ?? "")), svg("text", { x: x + 10, y: y + 53 }, short(s.what)));
}

/** @param {number} x0 @param {number} y0 @param {number} x1 @param {number} y1 */
function line(x0, y0, x1, y1) {
  const a = x0 + wide, b = y0 + high / 2, c = y1 + high / 2;
  return svg("path", { d: `M ${a} ${b} C ${a + gapX / 2} ${b} ${x1 - gapX / 2} ${c} ${x1} ${c}` });
}

/** @param {Element} drawing @param {number} seq */
function save(drawing, seq) {
  const text = new XMLSerializer().serializeToString(drawing);
  const a = document.createElement("a");
  a.href = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  a.download = `event-${seq}.svg`;
  a.click();
  URL.revokeObjectURL(a.href);
}
