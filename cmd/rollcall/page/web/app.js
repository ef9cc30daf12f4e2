// @ts-check
import { h, say } from "./lib/dom.js";
import { ask, Refusal } from "./lib/api.js";
import { clock, hour, num } from "./lib/words.js";
import { Bar } from "./lib/bar.js";
import { Feed } from "./lib/feed.js";
import * as overview from "./views/overview.js";
import * as nodes from "./views/nodes.js";
import * as rollouts from "./views/rollouts.js";
import * as events from "./views/events.js";
import * as object from "./views/object.js";
import * as graph from "./views/graph.js";
import * as diff from "./views/diff.js";
import * as compare from "./views/compare.js";
import * as whatif from "./views/whatif.js";
import * as sources from "./views/sources.js";
import * as health from "./views/health.js";

/** @typedef {{title: string, key: string, render: (app: App, signal: AbortSignal) => Promise<any>, command: (app: App) => string, frame?: (app: App) => void}} View */

/** @type {Record<string, View>} */
const views = {
  overview: { title: "Overview", key: "1", ...overview }, nodes: { title: "Nodes", key: "2", ...nodes }, rollouts: { title: "Rollouts", key: "3", ...rollouts },
  events: { title: "Events", key: "4", ...events }, object: { title: "Object", key: "5", ...object }, graph: { title: "Causes", key: "6", ...graph },
  diff: { title: "Diff", key: "7", ...diff }, compare: { title: "Compare", key: "8", ...compare }, whatif: { title: "What if", key: "9", ...whatif },
  sources: { title: "Sources", key: "0", ...sources }, health: { title: "Health", key: "h", ...health },
};

/** The page: what the address says, and what is shown of it. All that is shown follows from the address. */
export class App {
  constructor() {
    /** @type {Record<string, any>} */ this.state = {};
    /** @type {any} */ this.info = null;
    /** @type {any} */ this.span = null;
    this.seq = 0; this.time = ""; this.playing = 0; this.next = 0; this.lasted = 0; this.missed = false;
    /** since when nothing comes of a log that goes on; 0: it does */ this.lost = 0;
    /** @type {AbortController|null} */ this.pending = null;
    this.feed = new Feed(this);
  }

  async start() {
    const a = await ask("info");
    this.info = a.items[0]; this.span = a.coverage; this.seq = a.at.seq; this.time = a.at.time;
    document.title = `rollcall ${this.info.cluster}`;
    const top = /** @type {HTMLElement} */ (document.getElementById("top"));
    this.badge = h("span.badge", { title: "whether this is now, the past, or a model" });
    this.nav = h("nav", { "aria-label": "views" });
    top.replaceChildren(h("span.brand", null, "rollcall", h("small", null, this.info.cluster)), this.nav, this.badge, h("button.small", { onclick: () => this.help(), title: "keys (?)" }, "?"));
    this.bar = new Bar();
    this.bar.app = this;
    document.getElementById("time")?.append(this.bar);
    this.bar.load(); // nothing waits for it: the index of a long log takes a while
    addEventListener("hashchange", () => this.read());
    addEventListener("keydown", (e) => this.key(e));
    this.read();
    if (!this.info.live) return;
    setInterval(() => { if (!this.lost && !document.hidden) this.bar?.load(); }, 5000);
    document.addEventListener("visibilitychange", () => { if (!document.hidden && this.missed) { this.missed = false; this.bar?.load(); this.refreshSoon(); } });
  }

  /** Takes what the address says. */
  read() {
    const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
    const q = Object.fromEntries(new URLSearchParams(query ?? ""));
    this.state = { ...q, view: views[path] ? path : "overview" };
    if (this.bar?.speed) /** @type {any} */ (this.bar.speed).value = this.state.speed ?? "1";
    this.show();
    this.nav?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" }); // where they do not all have room
  }

  /** The address of another state. @param {Record<string, any>} change null takes away */
  link(change) {
    const next = { ...this.state, ...change };
    const q = new URLSearchParams();
    for (const [k, v] of Object.entries(next)) if (k !== "view" && v !== null && v !== undefined && v !== "") q.set(k, String(v));
    const text = q.toString();
    return `#/${next.view}${text ? "?" + text : ""}`;
  }

  /** @param {Record<string, any>} change @param {boolean} [quiet] without an entry in the history of the browser */
  go(change, quiet) {
    const to = this.link(change);
    if (to === location.hash) return;
    if (quiet) { history.replaceState(null, "", to); this.read(); } else location.hash = to;
  }

  get live() { return !!this.info.live && !this.state.at && !this.playing; }
  /** The position that is shown; empty: the end. */
  get at() { return this.state.at ?? ""; }
  get mode() { return this.state.view === "whatif" ? "WHAT-IF" : this.playing ? "REPLAY" : this.state.at || !this.info.live ? "AT" : this.lost ? "LOST" : "LIVE"; }
  /** Flags that name the log and the instant in commands. */
  flags(at = true) { return (this.info.target ? " " + this.info.target : "") + (at && this.state.at ? ` --at ${this.state.at}` : ""); }

  async show() {
    this.pending?.abort();
    const mine = (this.pending = new AbortController());
    const view = views[this.state.view];
    this.paint();
    const main = /** @type {HTMLElement} */ (document.getElementById("main"));
    main.setAttribute("aria-busy", "true");
    const began = performance.now();
    let content;
    try {
      content = await view.render(this, mine.signal);
    } catch (e) {
      if (mine.signal.aborted) return;
      content = h("div", null, problem(e), this.state.of ? h("p", null, h("a", { href: this.link({ of: null }) }, "choose another object")) : null);
    }
    if (mine.signal.aborted) return;
    const focused = document.activeElement?.id;
    const line = view.command(this);
    const head = h("div.head", null, h("h1", null, view.title), h("span.grow", null), line ? command(line) : null);
    if (main.dataset.view !== this.state.view) main.scrollTop = 0;
    main.dataset.view = this.state.view;
    main.replaceChildren(head, content);
    if (focused) document.getElementById(focused)?.focus();
    main.removeAttribute("aria-busy");
    main.dataset.shown = location.hash || "#/overview";
    view.frame?.(this);
    this.lasted = performance.now() - began;
    if (this.live && !this.lost && !this.feed.stream) this.feed.at(this.feed.ds || "default/none").catch(() => this.lose()); // what is live goes on
  }

  /** Nothing comes of the log any more: what is shown is the past, until it is found again. */
  lose() {
    if (this.lost) return;
    this.lost = Date.now();
    this.paint();
    say("the instance does not answer");
    const again = async () => {
      try {
        await ask("info");
        this.found();
      } catch (e) {
        document.getElementById("lost")?.remove();
        if (this.mode === "LOST") document.getElementById("main")?.prepend(h("div", { id: "lost" }, problem(e)));
        this.waiting = setTimeout(again, 2000);
      }
    };
    this.waiting = setTimeout(again, 500);
  }

  /** The log goes on. */
  found() {
    clearTimeout(this.waiting);
    if (!this.lost) return;
    this.lost = 0;
    this.feed.leave();
    say("the instance answers again");
    this.show();
  }

  /** What is the same for all views: badge, border, tabs, time bar. */
  paint(moving = false) {
    document.body.dataset.mode = this.mode;
    const where = this.mode === "LIVE" ? "LIVE" : this.mode === "LOST" ? `LOST since ${hour(this.lost).slice(0, 8)}, #${num(this.seq)}` : `${this.mode} #${num(Number(this.state.at) || this.seq)}`;
    if (this.badge) { this.badge.textContent = this.mode === "WHAT-IF" ? "WHAT-IF: a model" : where; this.badge.title = this.time ? clock(this.time) : ""; }
    if (!moving) this.nav?.replaceChildren(...Object.entries(views).map(([name, v]) => h("a", { href: this.link({ view: name }), "aria-current": name === this.state.view ? "page" : null, title: `${v.title} (${v.key})` }, v.title, " ", h("kbd", null, v.key))));
    if (this.time) this.bar?.show(this.seq, this.time, Number(this.state.mark) || null);
  }

  /** Shows the newest frame of the stream. */
  frame() { this.paint(true); views[this.state.view].frame?.(this); }

  /** Renders again, as the log goes on, unless somebody is about to choose something. */
  refresh() {
    if (this.lost) return;
    if (document.hidden) { this.missed = true; return; } // nobody looks: it is shown when somebody does
    const on = document.activeElement, within = document.getElementById("main")?.contains(on) && on?.id !== "main";
    if (!within && !(/** @type {any} */ (document.getElementById("help"))?.open)) this.show();
  }

  /** Renders again before long: the sooner, the less the last time has taken. */
  refreshSoon() {
    if (this.next) return;
    this.next = window.setTimeout(() => { this.next = 0; this.refresh(); }, Math.max(1500, 10 * this.lasted));
  }

  /** Says what an answer was about. @param {{at: {seq: number, time: string}, coverage: any}} a */
  saw(a) {
    this.seq = a.at.seq; this.time = a.at.time; this.span = a.coverage;
    if (this.state.at && this.state.at !== String(a.at.seq)) { this.state.at = String(a.at.seq); history.replaceState(null, "", this.link({})); }
    this.paint();
  }

  /** While the bar is dragged, or a replay runs: the view follows once a frame, and the address when it stands. @param {{at?: number, mark?: number}} to */
  scrub(to) {
    if (to.at !== undefined) { this.state.at = String(to.at); this.seq = to.at; }
    if (to.mark !== undefined) this.state.mark = String(to.mark);
    if (!this.drawing) this.drawing = requestAnimationFrame(() => {
      this.drawing = 0;
      this.feed.seek(this.seq);
      this.frame();
    });
    clearTimeout(this.later);
    this.later = setTimeout(() => { history.replaceState(null, "", this.link({})); this.show(); }, views[this.state.view].frame ? 400 : 120);
  }

  /** @param {string} what "event", "plan" or "wave" @param {number} way */
  async step(what, way) {
    if (what === "event") return this.go({ at: Math.min(this.span.last, Math.max(this.span.first, this.seq + way)) }, true);
    try {
      const a = await ask(what, { at: this.seq, way: way < 0 ? "back" : "on" });
      if (a.items[0].seq === this.seq) say(`there is no other ${what} there`);
      this.go({ at: a.items[0].seq }, true);
    } catch (e) { say(String(e)); }
  }

  mark() { this.go({ mark: this.seq }, true); say(`the mark is at ${this.seq}`); }

  /** @param {string} text */
  async goInstant(text) {
    try {
      const a = await ask("info", { at: text });
      this.go({ at: a.at.seq });
    } catch (e) {
      document.getElementById("main")?.prepend(problem(e));
    }
  }

  togglePlay() {
    if (this.playing) { clearInterval(this.playing); this.playing = 0; this.paint(); return this.show(); }
    if (!this.bar?.density) return say("the log is being read yet");
    let at = this.state.at ? this.seq : this.span.first;
    if (at >= this.span.last) at = this.span.first;
    this.playing = this.feed.play(at, this.state.speed ?? "1", (seq) => {
      if (seq >= this.span.last) { clearInterval(this.playing); this.playing = 0; }
      this.scrub({ at: seq });
    });
    this.scrub({ at });
  }

  /** @param {KeyboardEvent} e */
  key(e) {
    const on = /** @type {HTMLElement} */ (e.target);
    if (e.ctrlKey || e.metaKey || e.altKey || ["INPUT", "SELECT", "TEXTAREA"].includes(on.tagName)) { if (e.key === "Escape") on.blur(); return; }
    const view = Object.entries(views).find(([, v]) => v.key === e.key);
    if (view) return this.go({ view: view[0] });
    /** @type {Record<string, () => void>} */
    const keys = {
      "?": () => this.help(), ArrowLeft: () => this.step(e.shiftKey ? "plan" : "event", -1), ArrowRight: () => this.step(e.shiftKey ? "plan" : "event", 1),
      "[": () => this.step("wave", -1), "]": () => this.step("wave", 1), " ": () => this.togglePlay(), m: () => this.mark(), l: () => this.go({ at: null }),
      t: () => this.bar?.turn(), b: () => this.bar?.list(), g: () => /** @type {any} */ (this.bar?.goto)?.focus(), d: () => this.go({ view: "diff" }), c: () => document.querySelector(".command button")?.dispatchEvent(new MouseEvent("click")),
      "/": () => /** @type {any} */ (document.querySelector("main input, main select"))?.focus(), Home: () => this.go({ at: this.span.first }, true), End: () => this.go({ at: this.info.live ? null : this.span.last }, true),
      "+": () => this.faster(1), "-": () => this.faster(-1),
    };
    if (!keys[e.key] || (e.key === " " && ["BUTTON", "A", "SUMMARY"].includes(on.tagName))) return;
    e.preventDefault();
    keys[e.key]();
  }

  /** @param {number} by */
  faster(by) {
    const s = /** @type {HTMLSelectElement} */ (this.bar?.speed);
    s.selectedIndex = Math.min(s.options.length - 1, Math.max(0, s.selectedIndex + by));
    this.go({ speed: s.value }, true);
  }

  help() {
    const d = /** @type {HTMLDialogElement} */ (document.getElementById("help"));
    const rows = [["tab, shift tab", "to what can be chosen, and back"], ["1 … 9, 0, h", "views"], ["← →", "event before, next event"], ["shift ← →", "decision before, next decision"], ["[ ]", "wave before, next wave"], ["space", "play, or pause"], ["+ -", "faster, slower"], ["g", "go to an instant"], ["Home End", "first event, last event"],
      ["l", "live, or the end"], ["m", "set the mark"], ["d", "what differs between mark and here"], ["t", "bar by events, or by time"], ["b", "what the bar shows, as a table"], ["c", "copy as command"], ["/", "to the filter of the view"], ["arrows, Enter", "in the grid: choose a node, open it"], ["Esc", "leave a field, close this"]];
    d.setAttribute("aria-label", "keys");
    d.replaceChildren(h("h2", null, "Keys"), h("table", null, h("tbody", null, rows.map(([k, what]) => h("tr", null, h("td", null, h("kbd", null, k)), h("td", null, what))))), h("form", { method: "dialog" }, h("button", null, "close")));
    d.showModal();
  }
}

/** The command that answers the same. @param {string} line */
function command(line) {
  const b = h("button.small", { title: "copy as command (c)", onclick: async () => {
    try { await navigator.clipboard.writeText(line); b.textContent = "copied"; } catch { getSelection()?.selectAllChildren(code); b.textContent = "selected"; }
    say(`the command is ${b.textContent}`);
    setTimeout(() => { b.textContent = "copy as command"; }, 1500);
  } }, "copy as command");
  const code = h("code", null, line);
  return h("span.command", null, code, b);
}

/** @param {any} e */
function problem(e) {
  const r = e instanceof Refusal ? e : new Refusal({ what: String(e?.message ?? e) });
  return h("div.problem", { role: "alert" }, h("p", null, h("b", null, r.message), r.where ? ` (${r.where})` : "", r.why ? `: ${r.why}` : ""), r.todo ? h("p", null, r.todo) : null, r.code ? h("p.soft", null, r.code) : null);
}

const app = new App();
app.start().catch((e) => document.getElementById("main")?.replaceChildren(problem(e)));
