// @ts-check
import { h, svg } from "../lib/dom.js";
import { ask } from "../lib/api.js";
import { count, num } from "../lib/words.js";
import { asTable, empty, position } from "../lib/parts.js";

/** @param {any} app */
export const command = (app) => (app.state.event ? `rollcall effects ${app.state.event}${app.flags(false)}` : "");

const wide = 250, high = 62, gapX = 40, gapY = 14;

/** @typedef {{id: string, steps: any[], title: string, text: string, from: string[], layer: number, row: number, here: boolean, folds: string}} Node */

/** What an event comes from, and what it has led to: time goes to the right. @param {any} app @param {AbortSignal} signal */
export async function render(app, signal) {
  const at = app.state.event || app.at || "";
  const a = await ask("event", { at }, signal), e = a.items[0];
  if (!app.state.at) app.seq = Math.max(app.seq, a.at.seq);
  const nodes = graphOf(e, new Set(String(app.state.open ?? "").split(",")));
  const rows = Math.max(...nodes.map((n) => n.row)) + 1, layers = Math.max(...nodes.map((n) => n.layer)) + 1;
  const height = Math.max(120, rows * (high + gapY) + 16), width = layers * (wide + gapX) + 16;
  const place = new Map(nodes.map((n) => [n.id, n])), lines = nodes.flatMap((n) => n.from.map((f) => [place.get(f), n])).filter(([x]) => x).map(([x, y]) => line(/** @type {Node} */ (x), /** @type {Node} */ (y)));
  const drawing = svg("svg", { class: "graph", viewBox: `0 0 ${width} ${height}`, style: { width: width + "px", height: height + "px", "max-width": "none" }, role: "group", "aria-label": "causes to the left, effects to the right; the table is below" }, lines, nodes.map((n) => box(app, n)));
  const x = e.effects, folded = nodes.filter((n) => n.folds);
  return h("div", null, h("div.tools", null, h("label", null, "event #", h("input", { id: "graph-event", size: 10, value: String(e.seq), onkeydown: (/** @type {any} */ k) => { if (k.key === "Enter") app.go({ event: k.target.value.replace(/^#/, ""), open: null }); } })),
    folded.length ? h("button", { id: "unfold", onclick: () => app.go({ open: "all" }) }, `unfold ${count(folded.length, "box", "boxes")}`) : app.state.open ? h("button", { id: "fold", onclick: () => app.go({ open: null }) }, "fold") : null,
    h("button", { onclick: () => save(`event-${e.seq}.svg`, "image/svg+xml", styled(drawing)) }, "save as SVG"), h("button", { onclick: () => save(`event-${e.seq}.dot`, "text/vnd.graphviz", dot(nodes)) }, "save as DOT")),
    h("p", null, `comes from ${count(e.from.length, "step")}, has led to ${count(x.plans, "plan")}, ${count(x.podsDeleted, "pod")} deleted and ${num(x.podsCreated)} created on ${count(x.nodes, "node")}, as far as #${num(e.upto)}.`),
    h("div.scroll", { tabindex: 0, role: "region", "aria-label": "graph" }, drawing),
    !e.from.length && !(x.steps ?? []).length ? empty("The event comes from outside, and has led to nothing.") : null,
    asTable("graph-table", ["event", "what", "comes from"], nodes.map((n) => [n.steps.length === 1 ? position(app, n.steps[0].seq) : n.title, n.text, n.from.map((f) => place.get(f)?.title ?? "").join(", ")])));
}

/** What comes before, the event, and what comes after it. Of what comes after, steps of one kind that come of one step are one box, and of a long chain before, what is between its ends, until somebody opens it. @param {any} e @param {Set<string>} open @returns {Node[]} */
function graphOf(e, open) {
  /** @type {Node[]} */ const all = [];
  const title = (/** @type {any} */ s) => `#${s.seq} ${s.before ? "before the log" : s.decision ? "command" : s.type}`;
  const add = (/** @type {string} */ id, /** @type {any[]} */ steps, /** @type {string[]} */ from, /** @type {number} */ layer, folds = "") => {
    const s = steps[0], same = steps.every((x) => x.what === s.what);
    all.push({ id, steps, from, layer, row: 0, here: id === "here", folds, title: steps.length > 1 ? `${steps.length} × ${s.decision ? "command" : s.type}` : title(s), text: steps.length > 1 ? (same ? s.what : `${s.what}, …`) : [s.object, s.what].filter(Boolean).join("  ") });
  };
  const isOpen = (/** @type {string} */ id) => open.has("all") || open.has(id);
  let before = [...e.from].reverse(), last = "";
  let layer = 0;
  if (before.length > 4 && !isOpen("before")) {
    add("b0", [before[0]], [], layer++);
    add("before", before.slice(1, -1), ["b0"], layer++, "before");
    add("b1", [before[before.length - 1]], ["before"], layer++);
    last = "b1";
  } else before.forEach((s, i) => { add("b" + i, [s], last ? [last] : [], layer++); last = "b" + i; });
  const here = layer;
  add("here", [e], last ? [last] : [], here);
  const steps = e.effects.steps ?? [], parents = e.parents ?? [], of = new Map([[-1, "here"]]), layers = new Map([["here", here]]);
  /** @type {Map<string, Node>} */ const groups = new Map();
  steps.forEach((/** @type {any} */ s, /** @type {number} */ i) => {
    const from = of.get(parents[i] ?? -1) ?? "here", key = `${from}>${s.decision ? "command " + s.decision.rule : s.type}`, near = groups.get(key);
    if (near && !isOpen(near.id)) {
      near.steps.push(s);
      near.title = `${near.steps.length} × ${s.decision ? "command" : s.type}`;
      near.folds = near.id;
      of.set(i, near.id);
      return;
    }
    const id = "e" + i, deep = (layers.get(from) ?? here) + 1;
    add(id, [s], [from], deep);
    groups.set(key, all[all.length - 1]);
    of.set(i, id); layers.set(id, deep);
  });
  const used = new Map();
  for (const n of all) { n.row = used.get(n.layer) ?? 0; used.set(n.layer, n.row + 1); }
  return all;
}

/** @param {any} app @param {Node} n */
function box(app, n) {
  const short = (/** @type {string} */ t) => (t.length > 33 ? t.slice(0, 32) + "…" : t), [x, y] = corner(n), [first, rest] = halves(n);
  const to = n.folds ? app.link({ open: [app.state.open, n.folds].filter(Boolean).join(",") }) : app.link({ event: n.steps[0].seq, open: null });
  return svg("a", { href: to, "aria-label": `${n.title}: ${n.text}${n.folds ? "; opens" : ""}` }, svg("title", null, n.text), n.folds ? svg("rect", { class: "box", x: x + 5, y: y + 5, width: wide, height: high, rx: 6 }) : [], svg("rect", { class: "box", x, y, width: wide, height: high, rx: 6, "stroke-width": n.here ? 3 : 1 }),
    svg("text", { x: x + 10, y: y + 20, "font-weight": 600 }, short(n.title)), svg("text", { x: x + 10, y: y + 37 }, first), svg("text", { x: x + 10, y: y + 53 }, n.folds ? "⊞ opens" : short(rest)));
}

/** The text of a box in two lines: a name is one of them, of a long one its beginning and its end. @param {Node} n @returns {[string, string]} */
function halves(n) {
  const name = n.steps.length === 1 ? n.steps[0].object ?? "" : "", space = n.text.lastIndexOf(" ", 32), cut = n.text.length > 32 && space > 9 ? space + 1 : 32;
  if (name.length > 16) return [name.length > 33 ? name.slice(0, 12) + "…" + name.slice(-20) : name, n.text.slice(name.length).trim()];
  return [n.text.slice(0, cut), n.text.slice(cut)];
}

/** @param {Node} n @returns {number[]} */
const corner = (n) => [8 + n.layer * (wide + gapX), 8 + n.row * (high + gapY)];

/** @param {Node} from @param {Node} to */
function line(from, to) {
  const [x0, y0] = corner(from), [x1, y1] = corner(to), a = x0 + wide, b = y0 + high / 2, c = y1 + high / 2;
  return svg("path", { d: `M ${a} ${b} C ${a + gapX / 2} ${b} ${x1 - gapX / 2} ${c} ${x1} ${c}` });
}

/** @param {Node[]} nodes */
function dot(nodes) {
  const text = (/** @type {string} */ t) => JSON.stringify(t);
  return `digraph rollcall {\n  rankdir=LR; node [shape=box];\n${nodes.map((n) => `  ${n.id} [label=${text(n.title + "\n" + n.text)}];\n`).join("")}${nodes.flatMap((n) => n.from.map((f) => `  ${f} -> ${n.id};\n`)).join("")}}\n`;
}

/** The drawing with the colours that it has here. @param {Element} drawing */
function styled(drawing) {
  const c = /** @type {Element} */ (drawing.cloneNode(true)), from = drawing.querySelectorAll("rect, path, text");
  c.querySelectorAll("rect, path, text").forEach((el, i) => { const s = getComputedStyle(from[i]); el.setAttribute("fill", s.fill); el.setAttribute("stroke", s.stroke); el.setAttribute("font-family", "sans-serif"); el.setAttribute("font-size", "12"); });
  return new XMLSerializer().serializeToString(c);
}

/** @param {string} name @param {string} type @param {string} text */
function save(name, type, text) {
  const a = document.createElement("a");
  a.href = URL.createObjectURL(new Blob([text], { type }));
  a.download = name;
  a.click();
  URL.revokeObjectURL(a.href);
}
