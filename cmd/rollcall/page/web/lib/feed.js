// @ts-check
import { ask, fetchPart, follow } from "./api.js";
import { Stretch, applied } from "./cells.js";

/** How many events a stretch has at most, as the server gives them. */
const stretchEvents = 65536;

/** The cells of a DaemonSet where the page is: of the past by stretches, of now by the stream. */
export class Feed {
  /** @param {any} app */
  constructor(app) {
    this.app = app;
    this.ds = "";
    /** @type {Uint8Array} */ this.cells = new Uint8Array(0);
    /** @type {Stretch|null} */ this.stretch = null;
    /** @type {Promise<any>|null} */ this.loading = null;
    /** @type {(() => void)|null} ends the stream */ this.stream = null;
    /** DaemonSet whose stream there is, or begins */ this.streamed = "";
    /** @type {Promise<void>|null} */ this.begins = null;
    /** how many streams were left */ this.left = 0;
  }

  /** Is about a DaemonSet from here on. @param {string} ds */
  of(ds) {
    if (ds !== this.ds) { this.ds = ds; this.stretch = null; this.leave(); }
  }

  /** Brings the cells of a DaemonSet at the position of the page. @param {string} ds @param {AbortSignal} [signal] */
  async at(ds, signal) {
    this.of(ds);
    if (this.app.live) return this.follow();
    this.leave();
    const a = await ask("info", { at: this.app.at }, signal);
    this.app.saw(a);
    const { first, last } = this.app.span;
    if (last - first <= stretchEvents || this.stretch?.has(a.at.seq)) await this.load(a.at.seq, signal);
    else { // one instant is there at once, and what is around it by and by
      await this.peek(a.at.seq, signal);
      this.load(a.at.seq, signal).then(() => this.seek(this.app.seq), () => {});
      return;
    }
    this.seek(a.at.seq);
  }

  /** @param {number} seq @param {AbortSignal} [signal] */
  async load(seq, signal) {
    if (this.stretch?.has(seq)) return;
    const { first, last } = this.app.span, all = last - first <= stretchEvents;
    const from = all ? first : Math.max(first, seq - (stretchEvents >> 1)), to = all ? last : Math.min(last, from + stretchEvents);
    const r = await fetchPart("deltas", { ds: this.ds, from, at: to }, signal);
    this.stretch = new Stretch(from, to, await r.arrayBuffer());
  }

  /** Goes to a position, at once if the stretch has it; else by and by: one instant after the other is asked for. @param {number} seq */
  seek(seq) {
    if (this.stretch?.has(seq)) { this.cells = this.stretch.seek(seq); return; }
    if (!this.ds || this.loading) return;
    this.loading = this.peek(seq).catch(() => seq).then((shown) => {
      this.loading = null;
      this.app.frame();
      if (this.app.seq !== shown) this.seek(this.app.seq);
    });
  }

  /** Shows one instant. @param {number} seq @param {AbortSignal} [signal] @returns {Promise<number>} which */
  async peek(seq, signal) {
    const r = await fetchPart("state", { format: "bin", ds: this.ds, at: seq }, signal);
    this.cells = new Uint8Array(await r.arrayBuffer());
    this.app.time = r.headers.get("Rollcall-Time") ?? this.app.time;
    return seq;
  }

  /** Follows the log from where it is now. There is one stream, whoever asks for it. */
  async follow() {
    if (this.streamed !== this.ds) {
      this.leave();
      this.streamed = this.ds;
      this.begins = this.begin(this.left);
    }
    return this.begins;
  }

  /** @param {number} left how many streams were left when this one was wanted */
  async begin(left) {
    let r, cells;
    try {
      r = await fetchPart("state", { format: "bin", ds: this.ds });
      cells = new Uint8Array(await r.arrayBuffer());
    } catch (e) {
      if (left === this.left) this.leave();
      throw e;
    }
    if (left !== this.left) return;
    if (!this.app.live) return this.leave();
    this.cells = cells;
    const seq = Number(r.headers.get("Rollcall-Seq"));
    this.app.seq = seq; this.app.time = r.headers.get("Rollcall-Time") ?? "";
    this.stream = follow({ ds: this.ds, from: seq }, { frame: (frame) => this.take(frame), open: () => this.app.found(), lost: (ended) => { if (ended) this.leave(); this.app.lose(); } });
  }

  /** @param {any} frame */
  take(frame) {
    if (!this.app.live) return this.leave();
    this.cells = applied(this.cells, frame);
    this.app.seq = frame.seq; this.app.time = frame.time;
    if (this.app.span) { this.app.span.last = Math.max(this.app.span.last, frame.seq); }
    this.app.frame();
    this.app.refreshSoon();
  }

  leave() { this.stream?.(); this.stream = null; this.streamed = ""; this.left++; }

  /**
   * Plays from a position: as fast as it was, or so many times faster. Idle time is
   * passed over in two seconds.
   * @param {number} from @param {string} speed @param {(seq: number) => void} go
   * @returns {any} of setInterval
   */
  play(from, speed, go) {
    const d = this.app.bar.density, last = this.app.span.last;
    let seq = from, rest = 0;
    return setInterval(() => {
      const now = this.app.state.speed ?? speed;
      if (now === "max") seq = Math.min(last, seq + Math.max(1, Math.round((last - this.app.span.first) / 200)));
      else {
        rest += 50 * Number(now);
        while (seq < last) {
          const need = Math.min(2000, gap(d, seq));
          if (need > rest) break;
          rest -= need; seq++;
        }
      }
      if (seq !== this.app.seq) go(seq);
    }, 50);
  }
}

/** How long it took from an event to the next, in milliseconds, as its stretch of the bar shows it. @param {any} d @param {number} seq */
function gap(d, seq) {
  const i = Math.max(0, d.ends.findIndex((/** @type {number} */ e) => e > seq));
  const before = i > 0 ? d.ends[i - 1] : d.from - 1, began = i > 0 ? d.times[i - 1] : d.times[0];
  return (d.times[i] - began) / Math.max(1, d.ends[i] - before);
}
