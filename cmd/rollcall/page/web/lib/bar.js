// @ts-check
import { h, colour, ink } from "./dom.js";
import { ask } from "./api.js";
import { clock, count, hour, num, rolloutName, span } from "./words.js";

/** What is marked: its glyph, its colour, and its name. @type {Record<string, string[]>} */
const signs = { write: ["✎", "--link", "somebody's write"], failure: ["✕", "--bad", "failure"], stall: ["‖", "--bad", "stall"], note: ["⚑", "--mark", "note"], hold: ["⊓", "--replay", "hold"] };
const classColours = ["--p3", "--p9", "--p6", "--p5", "--p7", "--p2"];

/** The log in time, below every view: what is when, where we are, and the mark. */
export class Bar extends HTMLElement {
  constructor() {
    super();
    /** @type {any} */ this.app = null;
    /** @type {any} */ this.density = null;
    /** @type {any[]} */ this.rollouts = [];
    /** @type {any[]} */ this.marks = [];
    /** @type {HTMLCanvasElement} what does not move */ this.still = document.createElement("canvas");
    this.axis = "events"; this.dragging = "";
  }

  connectedCallback() {
    const button = (/** @type {string} */ text, /** @type {string} */ title, /** @type {() => void} */ on) => h("button.small", { title, "aria-label": title, onclick: on }, text);
    const a = this.app;
    this.when = h("span.when", null, "");
    this.play = button("▶ play", "play, or pause (space)", () => a.togglePlay());
    this.speed = h("select", { title: "how fast to play", "aria-label": "how fast to play", onchange: () => a.go({ speed: this.speed.value }) },
      ["0.1", "0.5", "1", "2", "5", "10", "30", "100", "max"].map((x) => h("option", { value: x }, x === "max" ? "max" : x + "×")));
    this.goto = h("input", { size: 18, placeholder: "go to: 4821, -5m, …", title: "4821, -5m, a time, rollout/NAMESPACE/NAME#REVISION:end (g)", "aria-label": "instant to go to", onkeydown: (/** @type {KeyboardEvent} */ e) => { if (e.key === "Enter") a.goInstant(/** @type {any} */ (this.goto).value); } });
    this.axisButton = button("by events", "what is wide: events, or time (t)", () => this.turn());
    this.live = button(a.info.live ? "LIVE" : "end", "the end of the log (l)", () => a.go({ at: null, model: null }));
    this.append(h("div.row", null,
      button("◀ event", "event before (←)", () => a.step("event", -1)), this.play, button("event ▶", "next event (→)", () => a.step("event", 1)),
      button("◀ plan", "decision before (shift ←)", () => a.step("plan", -1)), button("plan ▶", "next decision (shift →)", () => a.step("plan", 1)),
      button("◀ wave", "wave before ([)", () => a.step("wave", -1)), button("wave ▶", "next wave (])", () => a.step("wave", 1)),
      this.speed, this.when, h("span.grow", null), button("mark", "set the mark here (m)", () => a.mark()), button("table", "what the bar shows, as a table (b)", () => this.list()), this.goto, this.axisButton, this.live));
    this.canvas = /** @type {HTMLCanvasElement} */ (h("canvas", { tabindex: 0, role: "slider", "aria-label": "position in the log", "aria-valuemin": 0 }));
    this.append(this.canvas);
    this.tip = h("div.tip", { hidden: true });
    document.body.append(this.tip);
    this.canvas.addEventListener("pointerdown", (e) => this.grab(e));
    this.canvas.addEventListener("pointermove", (e) => this.move(e));
    this.canvas.addEventListener("pointerup", () => { this.dragging = ""; });
    this.canvas.addEventListener("pointerleave", () => { if (this.tip) this.tip.hidden = true; });
    new ResizeObserver(() => this.redraw()).observe(this);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
  }

  turn() {
    this.axis = this.axis === "events" ? "time" : "events";
    if (this.axisButton) this.axisButton.textContent = "by " + this.axis;
    this.load();
  }

  async load() {
    const width = Math.max(200, Math.round(this.clientWidth)), time = this.axis === "time";
    try {
      this.density = (await ask("density", { buckets: time ? width >> 2 : Math.min(width >> 2, Math.ceil((this.app.span.last - this.app.span.first + 1) / 6)), axis: time ? "time" : "" })).items[0];
    } catch { return; } // the view says what is wrong
    this.redraw();
    this.loadMarks();
  }

  /** What is said of rollouts is read from the beginning of the log, and comes when it is there. */
  async loadMarks() {
    if (this.loading) return;
    this.loading = true;
    try {
      const [r, m] = await Promise.all([ask("rollouts"), ask("marks")]);
      this.rollouts = r.items; this.marks = m.items;
      this.redraw();
    } catch { /* the bar does without */ }
    this.loading = false;
  }

  /** What the bar shows, as a table. */
  list() {
    const d = /** @type {HTMLDialogElement} */ (document.getElementById("help")), a = this.app;
    const to = (/** @type {number} */ seq) => h("a", { href: a.link({ at: seq }), onclick: () => d.close() }, `#${num(seq)}`);
    const row = (/** @type {any[]} */ ...cells) => h("tr", null, cells.map((c) => h("td", null, c)));
    const rows = [...this.rollouts.map((r) => ({ seq: r.start.seq, time: r.start.time, cells: [`▬ rollout`, `${rolloutName(r)}: ${r.ending ?? "under way"}${r.failures ? `, ${count(r.failures, "failure")}` : ""}`, r.end?.seq ? to(r.end.seq) : ""] })),
      ...this.marks.map((m) => ({ seq: m.seq, time: m.time, cells: [`${signs[m.kind][0]} ${signs[m.kind][2]}`, `${m.n > 1 ? m.n + " × " : ""}${m.what}`, ""] }))].sort((x, y) => x.seq - y.seq);
    d.setAttribute("aria-label", "time bar");
    const c = this.density, sum = (/** @type {number[]} */ k) => k.reduce((x, y) => x + y, 0);
    const classes = c ? h("p", null, `${count(c.to - c.from + 1, "event")}, in the columns from below: `, c.classes.map((/** @type {string} */ t, /** @type {number} */ i) => [i ? ", " : "", h("i.swatch", { style: { background: colour(classColours[i]), color: ink(colour(classColours[i])) } }, t[0]), ` ${t} ${num(sum(c.counts[i]))}`])) : null;
    d.replaceChildren(h("h2", null, "What the bar shows"), classes ?? "", rows.length ? h("table", null, h("thead", null, h("tr", null, ["from", "", "", "what", "to"].map((t) => h("th", { scope: "col" }, t)))), h("tbody", null, rows.slice(-300).map((r) => row(to(r.seq), hour(r.time), ...r.cells)))) : h("p.empty", null, "No rollout has begun, and nothing was marked: nobody has written, nothing has failed."), h("form", { method: "dialog" }, h("button", null, "close")));
    d.showModal();
  }

  /** @param {number} seq @returns {number} 0 to 1 */
  xOf(seq) {
    const d = this.density;
    if (!d) return 1;
    if (this.axis === "events") return (seq - d.from + 1) / (d.to - d.from + 1);
    let lo = 0, hi = d.ends.length - 1;
    while (lo < hi) { const mid = (lo + hi) >> 1; if (d.ends[mid] < seq) lo = mid + 1; else hi = mid; }
    return (lo + 1) / d.ends.length;
  }

  /** @param {number} x 0 to 1 */
  seqAt(x) {
    const d = this.density;
    if (!d) return 0;
    if (this.axis === "events") return Math.round(Math.min(d.to, Math.max(d.from, d.from + x * (d.to - d.from + 1) - 0.5)));
    return d.ends[Math.min(d.ends.length - 1, Math.max(0, Math.floor(x * d.ends.length)))];
  }

  /** @param {PointerEvent} e */
  fraction(e) {
    const r = /** @type {HTMLCanvasElement} */ (this.canvas).getBoundingClientRect();
    return (e.clientX - r.left) / r.width;
  }

  /** @param {PointerEvent} e */
  grab(e) {
    this.canvas?.setPointerCapture(e.pointerId);
    this.dragging = e.shiftKey ? "mark" : "head";
    this.drag(e);
  }

  /** @param {PointerEvent} e */
  move(e) {
    if (this.dragging) return this.drag(e);
    if (!this.tip || !this.density) return;
    const seq = this.seqAt(this.fraction(e));
    this.tip.textContent = this.label(seq);
    this.tip.hidden = false;
    this.tip.style.left = Math.min(e.clientX + 12, innerWidth - 260) + "px";
    this.tip.style.top = e.clientY - 44 + "px";
  }

  /** @param {number} seq */
  label(seq) {
    const d = this.density, i = Math.min(d.ends.length - 1, Math.max(0, d.ends.findIndex((/** @type {number} */ x) => x >= seq)));
    const rolls = this.rollouts.filter((r) => r.start.seq <= seq && (!r.end || !r.end.seq || r.end.seq >= seq)).map(rolloutName);
    const near = (d.to - d.from) / Math.max(200, this.clientWidth) * 5;
    const marks = this.marks.filter((m) => Math.abs(m.seq - seq) <= near).slice(0, 3).map((m) => `${signs[m.kind][0]} ${m.n > 1 ? m.n + " × " : ""}${m.what}`);
    return `#${num(seq)}  ${hour(d.times[i] ?? 0)}  ${[...rolls, ...marks].join(", ")}`;
  }

  /** @param {PointerEvent} e */
  drag(e) {
    const seq = this.seqAt(this.fraction(e));
    this.app.scrub(this.dragging === "mark" ? { mark: seq } : { at: seq });
  }

  /** Says where we are. @param {number} seq @param {string} time @param {number|null} mark */
  show(seq, time, mark) {
    this.seq = seq; this.marked = mark;
    if (this.when) {
      const ago = this.app.info?.live ? Date.now() - Date.parse(time) : 0;
      this.when.textContent = `#${num(seq)}  ${hour(time)}` + (ago > 1500 ? `  ${span(ago)} ago` : "");
      this.when.title = clock(time);
    }
    const to = this.density?.to ?? seq;
    this.canvas?.setAttribute("aria-valuemax", String(to));
    this.canvas?.setAttribute("aria-valuenow", String(seq));
    this.canvas?.setAttribute("aria-valuetext", `position ${seq}, ${clock(time)}`);
    this.draw();
  }

  /** Draws what stands still: it is kept as a picture, on which head and mark move. */
  redraw() {
    const c = this.still, d = this.density, ctx = c.getContext("2d");
    if (!ctx || !d) return;
    const ratio = devicePixelRatio || 1, w = this.clientWidth, tall = 64;
    c.width = w * ratio; c.height = tall * ratio;
    ctx.scale(ratio, ratio);
    ctx.fillStyle = colour("--ground"); ctx.fillRect(0, 0, w, tall);
    this.drawRollouts(ctx, w);
    const n = d.ends.length, most = Math.max(1, ...Array.from({ length: n }, (_, i) => d.counts.reduce((/** @type {number} */ s, /** @type {number[]} */ k) => s + k[i], 0)));
    const shades = classColours.map(colour);
    for (let i = 0; i < n; i++) {
      let y = tall - 2;
      d.counts.forEach((/** @type {number[]} */ k, /** @type {number} */ j) => {
        const high = (k[i] / most) * (tall - 30);
        ctx.fillStyle = shades[j];
        ctx.fillRect((i * w) / n, y - high, Math.max(1, w / n - (w / n > 3 ? 1 : 0)), high);
        y -= high;
      });
    }
    for (const m of this.marks) this.flag(ctx, this.xOf(m.seq) * w, signs[m.kind][1], signs[m.kind][0]);
    this.shades = { mark: colour("--mark"), head: colour("--text") };
    this.draw();
  }

  draw() {
    const c = this.canvas, ctx = c?.getContext("2d"), from = this.still;
    if (!c || !ctx || !this.density || !this.shades || !from.width) return;
    if (c.width !== from.width || c.height !== from.height) { c.width = from.width; c.height = from.height; }
    const ratio = devicePixelRatio || 1, w = from.width / ratio;
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    ctx.drawImage(from, 0, 0);
    ctx.scale(ratio, ratio);
    if (this.marked) this.line(ctx, this.xOf(this.marked) * w, this.shades.mark, "mark");
    if (this.seq) this.line(ctx, this.xOf(this.seq) * w, this.shades.head, "");
  }

  /** @param {CanvasRenderingContext2D} ctx @param {number} w */
  drawRollouts(ctx, w) {
    ctx.font = "11px sans-serif"; ctx.textBaseline = "top";
    let free = 0; // no name is written over another
    for (const r of this.rollouts) {
      const from = this.xOf(r.start.seq) * w, to = r.end?.seq ? this.xOf(r.end.seq) * w : w;
      ctx.fillStyle = colour(r.ending === "RolledOut" ? "--p5" : r.ending ? "--p8" : "--p3");
      ctx.globalAlpha = 0.28; ctx.fillRect(from, 2, Math.max(2, to - from), 13); ctx.globalAlpha = 1;
      ctx.fillRect(from, 2, 2, 13);
      ctx.fillStyle = colour("--text");
      const text = rolloutName(r).replace(/^.*\//, "") + (r.failures ? ` ✕${r.failures}` : "");
      const long = ctx.measureText(text).width + 8;
      if (to - from > long && from >= free) { ctx.fillText(text, from + 5, 3); free = from + long; }
    }
  }

  /** @param {CanvasRenderingContext2D} ctx @param {number} x @param {string} shade @param {string} text */
  line(ctx, x, shade, text) {
    ctx.fillStyle = shade;
    ctx.fillRect(x - 1, 0, 2, 64);
    ctx.beginPath(); ctx.moveTo(x - 6, 0); ctx.lineTo(x + 6, 0); ctx.lineTo(x, 8); ctx.fill();
    if (text) { ctx.font = "11px sans-serif"; ctx.textBaseline = "top"; ctx.fillText(text, x + 6, 16); }
  }

  /** @param {CanvasRenderingContext2D} ctx @param {number} x @param {string} token @param {string} sign */
  flag(ctx, x, token, sign) {
    ctx.fillStyle = colour(token); ctx.font = "12px sans-serif"; ctx.textBaseline = "top";
    ctx.fillText(sign, x - 3, 15);
  }
}

customElements.define("rc-bar", Bar);
