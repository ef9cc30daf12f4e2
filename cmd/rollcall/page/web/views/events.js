// @ts-check
import { h } from "../lib/dom.js";
import { ask, fetchPart } from "../lib/api.js";
import { count, num, quote } from "../lib/words.js";
import { empty, moment, step, who } from "../lib/parts.js";

/** @param {any} app */
export const command = (app) => "rollcall log" + app.flags(false) + (app.state.ds ? ` --daemonset ${quote(app.state.ds)}` : "") + (app.state.type ? ` --type ${quote(app.state.type)}` : "") + (app.state.from ? ` --from ${app.state.from}` : "") + (app.state.at ? ` --to ${app.state.at}` : "");

const rowHeight = 24, pageRows = 100;

/** The events of a log, of which only those are there that can be seen. */
class Log extends HTMLElement {
  constructor() {
    super();
    /** @type {any} */ this.app = null;
    /** @type {string|undefined} that is chosen */ this.event = undefined;
    /** @type {Map<number, any[]>} pages by number */ this.pages = new Map();
    /** @type {any[]} with a filter: the rows that were found */ this.rows = [];
    this.filtered = false; this.first = 1; this.last = 0; this.looked = 0; this.more = true;
    /** @type {Record<string, any>} */ this.query = {};
    /** @type {Set<number>} */ this.asked = new Set();
  }

  connectedCallback() {
    if (this.room) return;
    this.room = h("div.room", { role: "grid", "aria-label": "events" });
    this.append(this.room);
    this.tabIndex = 0;
    this.addEventListener("scroll", () => requestAnimationFrame(() => this.fill()));
    this.addEventListener("keydown", (e) => {
      const by = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15 }[e.key];
      if (!by) return;
      e.preventDefault(); e.stopPropagation();
      this.app.go({ event: Math.min(this.last, Math.max(this.first, Number(this.app.state.event || this.last) + by)) }, true);
    });
  }

  /** @returns {number} */
  get total() { return this.filtered ? this.rows.length : this.last - this.first + 1; }

  /** Shows the row that is asked about, or where somebody has been. @param {number} [was] how far it was scrolled */
  begin(was) {
    if (this.filtered) return this.find();
    this.fill();
    if (was !== undefined) { this.scrollTop = was; return this.fill(); }
    const at = Number(this.app.state.event || this.app.seq);
    this.scrollTop = Math.max(0, (at - this.first) * rowHeight - this.clientHeight / 2);
    this.fill();
  }

  /** Looks on for what the filter lets pass. */
  async find() {
    if (!this.more || this.busy) return;
    this.busy = true;
    try {
      const r = await fetchPart("events", { ...this.query, after: this.looked, at: this.last, limit: 300 });
      const a = await r.json();
      this.rows.push(...a.items);
      this.looked = Number(r.headers.get("Rollcall-Looked") ?? this.last);
      this.more = a.items.length > 0 && this.looked < this.last;
    } catch { this.more = false; }
    this.busy = false;
    this.fill();
    if (!this.rows.length && !this.more) this.room?.replaceChildren(empty("No event passes the filter up to this instant."));
  }

  fill() {
    if (!this.room || !this.isConnected) return;
    this.room.style.height = this.total * rowHeight + "px";
    const from = Math.floor(this.scrollTop / rowHeight), to = Math.min(this.total, from + Math.ceil(this.clientHeight / rowHeight) + 1);
    if (this.filtered && to + 50 > this.total) this.find();
    const rows = [];
    for (let i = from; i < to; i++) {
      const e = this.filtered ? this.rows[i] : this.at(i);
      rows.push(this.row(i, e));
    }
    this.room.replaceChildren(...rows);
  }

  /** @param {number} i @returns {any} */
  at(i) {
    const n = Math.floor(i / pageRows), page = this.pages.get(n);
    if (page) return page[i - n * pageRows];
    if (!this.asked.has(n)) {
      this.asked.add(n);
      const after = this.first - 1 + n * pageRows;
      ask("events", { after, limit: pageRows, at: Math.min(this.last, after + pageRows) }).then((a) => { this.pages.set(n, a.items); if (this.pages.size > 60) { const old = this.pages.keys().next().value; if (old !== undefined) { this.pages.delete(old); this.asked.delete(old); } } this.fill(); }, () => this.asked.delete(n));
    }
    return null;
  }

  /** @param {number} i @param {any} e */
  row(i, e) {
    const seq = e?.seq ?? this.first + i;
    return h("div.row", { role: "row", style: { top: i * rowHeight + "px" }, "aria-selected": String(seq) === this.app.state.event, onclick: () => this.app.go({ event: seq }, true) },
      h("span.mono", null, `#${seq}`), h("span", null, e ? moment(this.app, e.time) : "…"), h("span", null, e?.type ?? ""), h("span", null, e?.object ?? ""), h("span", { title: e?.what }, e?.what ?? ""), h("span.soft", null, e ? who(e) : ""));
  }
}
customElements.define("rc-log", Log);

const kinds = [["pod.*", "pods"], ["node.*", "nodes"], ["daemonset.*", "daemonsets"], ["daemonset.planned", "plans"], ["controllerrevision.*", "revisions"], ["note.*", "notes"], ["hold.*", "holds"]];

/** @param {any} app @param {AbortSignal} signal */
export async function render(app, signal) {
  const a = await ask("info", { at: app.at }, signal);
  app.saw(a);
  // Of a log that goes on, who looks at older events is left there.
  const shown = /** @type {any} */ (document.querySelector("rc-log")), stays = app.live && shown && !shown.filtered && shown.event === app.state.event && shown.scrollTop + shown.clientHeight < shown.scrollHeight - 2 * rowHeight ? shown.scrollTop : undefined;
  const log = new Log();
  log.app = app; log.event = app.state.event; log.first = a.coverage.first; log.last = a.at.seq;
  log.filtered = !!(app.state.type || app.state.ds || app.state.from);
  log.query = { type: app.state.type, ds: app.state.ds };
  log.looked = Number(app.state.from || log.first) - 1;
  if (shown && !log.filtered && shown.first === log.first) for (const [n, rows] of shown.pages) if (rows.length === pageRows && log.first + n * pageRows <= log.last) { log.pages.set(n, rows); log.asked.add(n); } // an event never changes
  const chip = (/** @type {string} */ text, /** @type {boolean} */ on, /** @type {() => void} */ go) => h("button", { "aria-pressed": String(on), onclick: go }, text);
  const chips = h("span.chips", null, kinds.map(([t, text]) => chip(text, app.state.type === t, () => app.go({ type: app.state.type === t ? null : t }))), app.state.ds ? chip(`of ${app.state.ds}`, true, () => app.go({ ds: null })) : null, app.state.from ? chip(`from #${app.state.from}`, true, () => app.go({ from: null })) : null);
  const beside = h("div", { id: "event-detail" });
  queueMicrotask(() => requestAnimationFrame(() => log.begin(stays)));
  if (app.state.event) detail(app, beside, signal);
  return h("div", null, h("div.tools", null, chips, h("span.soft", null, log.filtered ? "" : count(log.total, "event") + ` up to #${num(log.last)}`)), log, beside);
}

/** @param {any} app @param {HTMLElement} into @param {AbortSignal} signal */
async function detail(app, into, signal) {
  try {
    const a = await ask("event", { at: app.state.event }, signal), e = a.items[0], x = e.effects;
    const fields = (e.fields ?? []).slice(0, 60);
    into.replaceChildren(h("h2", null, `#${e.seq} ${e.type}  ${e.object ?? ""}`), h("p", null, e.what, "  ", h("span.soft", null, who(e)), "  ", h("a", { href: app.link({ view: "graph" }) }, "as a graph"), " · ", e.object ? h("a", { href: app.link({ view: "object", of: e.object, at: e.seq }) }, "the object then") : null, " · ", h("a", { href: app.link({ at: e.seq }) }, "go there"), " · ", h("a", { href: app.link({ view: "whatif", without: e.seq }) }, "what if it had not happened?")),
      h("div.two", null, h("div", null, h("h3", null, "before and after"), fields.length ? h("table", null, h("tbody", null, fields.map((/** @type {any} */ f) => h("tr", null, h("td.mono.wrap", null, f.path), h("td.wrap.soft", null, f.old ?? "-"), h("td.wrap", null, f.new ?? "-"))))) : empty("The event changes no field of an object.")),
        h("div", null, h("h3", null, `comes from ${count(e.from.length, "step")}`), e.from.length ? h("ul.chain", null, e.from.map((/** @type {any} */ s) => step(app, s))) : h("p.soft", null, "It comes from outside the log."),
          h("h3", null, `has led to ${count(x.plans, "plan")}, ${num(x.podsDeleted)} pods deleted, ${num(x.podsCreated)} created on ${count(x.nodes, "node")}`), h("ul.chain", null, (x.steps ?? []).slice(0, 12).map((/** @type {any} */ s) => step(app, s))))));
  } catch (e) { if (!signal.aborted) into.replaceChildren(h("p.bad", null, String(e))); }
}
