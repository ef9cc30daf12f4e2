// @ts-check
import { h, colour, ink } from "./dom.js";
import { cellBytes, sinceMs } from "./cells.js";
import { glyphs, causeColours, causeGlyphs, span, num } from "./words.js";

/** @typedef {{title: string, places: number[]}} Group */

const titleHeight = 20;
const ages = ["--p3", "--p4", "--p5", "--p6", "--p2"];
export const ageNames = ["under 10 s", "under 1 min", "under 10 min", "under 1 h", "longer"];
export const ageGlyphs = ["1", "2", "3", "4", "5"];
const revisions = ["--p2", "--p6", "--p5", "--p7", "--p3", "--p8", "--p4", "--p9"];

/** @param {string} css a colour @returns {number} as ImageData has it */
function pixel(css) {
  const c = document.createElement("canvas").getContext("2d");
  if (!c) return 0;
  c.fillStyle = css;
  const v = parseInt(c.fillStyle.slice(1), 16);
  return 0xff000000 | ((v & 255) << 16) | (v & 0xff00) | (v >> 16);
}

/** The nodes of a cluster as cells. It draws what it is given, 100,000 cells at once. */
export class Grid extends HTMLElement {
  constructor() {
    super();
    /** @type {Uint8Array} */ this.cells = new Uint8Array(0);
    /** @type {Uint8Array|null} cells at the mark */ this.marked = null;
    /** @type {Group[]} */ this.groups = [];
    this.mode = "phase"; this.epoch = 0; this.now = 0;
    /** @type {string[]} */ this.names = [];
    /** @type {(place: number) => any} what is shown beside the pointer */ this.describe = () => null;
    /** @type {(place: number) => void} */ this.choose = () => {};
    this.chosen = -1; this.paint = [0, 0];
  }

  connectedCallback() {
    if (!this.canvas) this.make(); // one that is shown again has it
    document.body.append(/** @type {HTMLElement} */ (this.tip));
    this.resized = new ResizeObserver(() => { this.layout(); this.draw(); });
    this.resized.observe(this);
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.recolour = () => { this.colours(); this.draw(); };
    this.dark.addEventListener("change", this.recolour);
    this.colours();
  }

  make() {
    this.canvas = /** @type {HTMLCanvasElement} */ (h("canvas", { tabindex: 0, role: "img", "aria-label": "nodes as cells; arrow keys move, Enter opens the node, the table is below" }));
    this.append(this.canvas);
    this.small = document.createElement("canvas");
    this.tip = h("div.tip", { hidden: true });
    this.canvas.addEventListener("pointermove", (e) => this.hover(e));
    this.canvas.addEventListener("pointerleave", () => this.hideTip());
    this.canvas.addEventListener("click", (e) => { const p = this.placeAt(e); if (p >= 0) this.choose(p); });
    this.canvas.addEventListener("keydown", (e) => this.key(e));
    this.canvas.addEventListener("blur", () => this.hideTip());
  }

  disconnectedCallback() {
    this.resized?.disconnect();
    this.tip?.remove();
    if (this.recolour) this.dark?.removeEventListener("change", this.recolour);
  }

  colours() {
    const of = (/** @type {string} */ t) => colour(t);
    this.css = {
      phase: ["", "--p1", "--p2", "--p3", "--p4", "--p5", "--p6", "--p7", "--p8", "--p9"].map((t) => (t ? of(t) : of("--ground"))),
      cause: causeColours.map(of), revision: revisions.map(of), age: ages.map(of), changed: [of("--p1"), of("--p7")],
    };
    this.pixels = Object.fromEntries(Object.entries(this.css).map(([k, v]) => [k, v.map(pixel)]));
    this.groundPixel = pixel(of("--ground"));
    this.ground = of("--ground"); this.text = of("--text"); this.focusColour = of("--focus");
  }

  /** @param {Group[]} groups */
  set layoutOf(groups) { this.groups = groups; this.layout(); }

  /** Finds the largest cells with which all fit, and where each is. */
  layout() {
    const width = Math.max(this.clientWidth, 100);
    const room = Math.max(this.height ?? 0, 260);
    for (this.size = 30; this.size > 1; this.size--) if (this.rowsAt(this.size, width) * this.size <= room) break;
    this.cols = Math.max(1, Math.floor(width / this.size));
    const titleRows = Math.ceil(titleHeight / this.size);
    const places = this.groups.reduce((n, g) => Math.max(n, g.places.length ? Math.max(...sample(g.places)) + 1 : 0), 0);
    this.where = new Int32Array(Math.max(places, this.names.length)).fill(-1);
    this.titles = [];
    let row = 0;
    for (const g of this.groups) {
      if (g.title) { this.titles.push({ text: `${g.title}  ${num(g.places.length)}`, y: row * this.size }); row += titleRows; }
      g.places.forEach((p, i) => { if (this.where && this.cols) this.where[p] = (row + Math.floor(i / this.cols)) * this.cols + (i % this.cols); });
      row += Math.ceil(g.places.length / this.cols);
    }
    this.rows = Math.max(1, row);
    this.at = new Int32Array(this.rows * this.cols).fill(-1);
    for (let p = 0; p < this.where.length; p++) if (this.where[p] >= 0) this.at[this.where[p]] = p;
    if (!this.canvas || !this.small) return;
    const ratio = devicePixelRatio || 1;
    this.canvas.width = Math.round(width * ratio); this.canvas.height = Math.round(this.rows * this.size * ratio);
    this.canvas.style.height = this.rows * this.size + "px";
    this.small.width = this.cols; this.small.height = this.rows;
    this.image = new ImageData(this.cols, this.rows);
    this.words = new Uint32Array(this.image.data.buffer);
  }

  /** @param {number} size @param {number} width */
  rowsAt(size, width) {
    const cols = Math.max(1, Math.floor(width / size));
    return this.groups.reduce((n, g) => n + Math.ceil(g.places.length / cols) + (g.title ? Math.ceil(titleHeight / size) : 0), 0);
  }

  /** @param {number} place @returns {number} which colour its cell has */
  shade(place) {
    const at = place * cellBytes, c = this.cells;
    if (at + 3 >= c.length) return 0;
    switch (this.mode) {
      case "cause": return c[at] >> 4;
      case "revision": return c[at + 1] % revisions.length;
      case "age": {
        const t = sinceMs(c[at + 2] | (c[at + 3] << 8), this.epoch), s = (this.now - t) / 1000;
        return t === 0 ? 4 : s < 10 ? 0 : s < 60 ? 1 : s < 600 ? 2 : s < 3600 ? 3 : 4;
      }
      case "changed": {
        const m = this.marked;
        return m && at + 1 < m.length && m[at] === c[at] && m[at + 1] === c[at + 1] ? 0 : 1;
      }
    }
    return c[at] & 15;
  }

  draw() {
    const ctx = this.canvas?.getContext("2d"), small = this.small?.getContext("2d");
    if (!ctx || !small || !this.words || !this.where || !this.image || !this.canvas || !this.size || !this.cols) return;
    const began = performance.now();
    const shades = this.pixels[this.mode] ?? this.pixels.phase;
    this.words.fill(this.groundPixel);
    const n = Math.min(this.where.length, this.cells.length / cellBytes);
    for (let p = 0; p < n; p++) {
      const w = this.where[p];
      if (w < 0) continue;
      this.words[w] = (this.cells[p * cellBytes] & 15) === 0 ? this.groundPixel : shades[this.shade(p)] ?? shades[0];
    }
    small.putImageData(this.image, 0, 0);
    const ratio = devicePixelRatio || 1;
    ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
    ctx.imageSmoothingEnabled = false;
    ctx.drawImage(this.small, 0, 0, this.cols * this.size, this.rows * this.size);
    if (this.size >= 6) this.gaps(ctx);
    if (this.size >= 16) this.signs(ctx, n);
    this.frames(ctx);
    this.paint = [...this.paint.slice(-199), performance.now() - began];
  }

  /** @param {CanvasRenderingContext2D} ctx */
  gaps(ctx) {
    ctx.fillStyle = this.ground;
    const gap = this.size >= 16 ? 2 : 1;
    for (let x = 1; x <= this.cols; x++) ctx.fillRect(x * this.size - gap, 0, gap, this.rows * this.size);
    for (let y = 1; y <= this.rows; y++) ctx.fillRect(0, y * this.size - gap, this.cols * this.size, gap);
  }

  /** @param {CanvasRenderingContext2D} ctx @param {number} n */
  signs(ctx, n) {
    ctx.font = `${Math.round(this.size * 0.5)}px sans-serif`;
    ctx.textAlign = "center"; ctx.textBaseline = "middle";
    const inks = (this.css[this.mode] ?? this.css.phase).map((c) => (c ? ink(c) : this.text));
    for (let p = 0; p < n; p++) {
      const w = this.where[p];
      if (w < 0 || (this.cells[p * cellBytes] & 15) === 0) continue;
      const s = this.shade(p);
      const sign = this.mode === "phase" ? glyphs[s] : this.mode === "cause" ? causeGlyphs[s] : this.mode === "revision" ? String(this.cells[p * cellBytes + 1] || "–") : this.mode === "age" ? ageGlyphs[s] : s ? "Δ" : "";
      if (!sign) continue;
      ctx.fillStyle = inks[s];
      ctx.fillText(sign, ((w % this.cols) + 0.47) * this.size, (Math.floor(w / this.cols) + 0.5) * this.size);
    }
  }

  /** Titles of groups, and the frame of the chosen cell. @param {CanvasRenderingContext2D} ctx */
  frames(ctx) {
    ctx.textAlign = "left"; ctx.textBaseline = "middle"; ctx.font = "12px sans-serif";
    for (const t of this.titles ?? []) {
      ctx.fillStyle = this.ground; ctx.fillRect(0, t.y, this.clientWidth, Math.ceil(titleHeight / this.size) * this.size);
      ctx.fillStyle = this.text; ctx.fillText(t.text, 2, t.y + titleHeight / 2);
    }
    const w = this.where[this.chosen];
    if (this.chosen >= 0 && w >= 0) {
      ctx.strokeStyle = this.focusColour; ctx.lineWidth = 3;
      ctx.strokeRect((w % this.cols) * this.size - 1, Math.floor(w / this.cols) * this.size - 1, this.size + 1, this.size + 1);
    }
  }

  /** @param {MouseEvent} e @returns {number} the place under the pointer, or -1 */
  placeAt(e) {
    if (!this.canvas || !this.at) return -1;
    const r = this.canvas.getBoundingClientRect();
    const x = Math.floor((e.clientX - r.left) / this.size), y = Math.floor((e.clientY - r.top) / this.size);
    return x >= 0 && x < this.cols && y >= 0 && y < this.rows ? this.at[y * this.cols + x] : -1;
  }

  /** @param {PointerEvent} e */
  hover(e) {
    const p = this.placeAt(e);
    if (p < 0) return this.hideTip();
    this.showTip(p, e.clientX, e.clientY);
  }

  /** @param {number} place @param {number} x @param {number} y */
  showTip(place, x, y) {
    if (!this.tip) return;
    this.tip.replaceChildren(this.describe(place) ?? "");
    this.tip.hidden = false;
    this.tip.style.left = Math.min(x + 14, innerWidth - 280) + "px";
    this.tip.style.top = Math.min(y + 16, innerHeight - 110) + "px";
  }

  hideTip() { if (this.tip) this.tip.hidden = true; }

  /** @param {KeyboardEvent} e */
  key(e) {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.cols, ArrowUp: -this.cols }[e.key];
    if (e.key === "Enter" && this.chosen >= 0) { e.stopPropagation(); return this.choose(this.chosen); }
    if (step === undefined || !this.at || !this.canvas) return;
    e.preventDefault(); e.stopPropagation();
    let w = this.chosen >= 0 ? this.where[this.chosen] : -1;
    do w += step; while (w >= 0 && w < this.at.length && this.at[w] < 0);
    if (w < 0 || w >= this.at.length) return;
    this.chosen = this.at[w];
    this.draw();
    const r = this.canvas.getBoundingClientRect();
    this.showTip(this.chosen, r.left + (w % this.cols) * this.size, r.top + Math.floor(w / this.cols) * this.size);
  }

  /** @param {number} place */
  ageOf(place) {
    const at = place * cellBytes, t = sinceMs(this.cells[at + 2] | (this.cells[at + 3] << 8), this.epoch);
    return t === 0 ? "" : span(Math.max(0, this.now - t));
  }
}

/** Places of a group are in order, so that its last one is the greatest. @param {number[]} places */
const sample = (places) => [places[places.length - 1], places[0]];

customElements.define("rc-grid", Grid);
