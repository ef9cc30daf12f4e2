// @ts-check
// Cells as the server gives them: four bytes a node. This module adds nothing up that
// the server has not said; it only applies the changes of cells that it is given.

export const cellBytes = 4;

/** @param {number} since as a cell has it @param {number} epoch ms @returns {number} ms since 1970, or 0 */
export function sinceMs(since, epoch) {
  if (since === 0) return 0;
  return since < 32768 ? epoch + (since - 1) * 1000 : epoch + (since - 32768) * 60000;
}

/** A stretch of the log: cells at its begin, and each change after that. */
export class Stretch {
  /** @param {number} from @param {number} to @param {ArrayBuffer} data */
  constructor(from, to, data) {
    this.from = from; this.to = to;
    const n = new DataView(data).getUint32(0, true);
    this.base = new Uint8Array(data, 4, n * cellBytes);
    this.changes = new DataView(data, 4 + n * cellBytes);
    this.count = this.changes.byteLength / 12;
    this.cells = new Uint8Array(this.base);
    this.next = 0;
    this.seq = from;
  }

  /** @param {number} seq @returns {boolean} */
  has(seq) { return seq >= this.from && seq <= this.to; }

  /** Goes to a position. @param {number} seq @returns {Uint8Array} the cells there */
  seek(seq) {
    if (seq < this.seq) { this.cells = new Uint8Array(this.base); this.next = 0; }
    for (; this.next < this.count && this.from + this.changes.getUint32(12 * this.next, true) <= seq; this.next++) {
      this.cells = set(this.cells, this.changes.getUint32(12 * this.next + 4, true), this.changes, 12 * this.next + 8);
    }
    this.seq = seq;
    return this.cells;
  }
}

/** @param {Uint8Array} cells @param {number} place @param {DataView} from @param {number} at */
function set(cells, place, from, at) {
  cells = grown(cells, place + 1);
  for (let i = 0; i < cellBytes; i++) cells[place * cellBytes + i] = from.getUint8(at + i);
  return cells;
}

/** @param {Uint8Array} cells @param {number} nodes */
export function grown(cells, nodes) {
  if (cells.length >= nodes * cellBytes) return cells;
  const more = new Uint8Array(nodes * cellBytes);
  more.set(cells);
  return more;
}

/** Applies a frame of the stream. @param {Uint8Array} cells @param {{nodes: number, cells?: string}} frame */
export function applied(cells, frame) {
  const text = atob(frame.cells ?? "");
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const view = new DataView(bytes.buffer);
  cells = grown(cells, frame.nodes);
  for (let i = 0; i < bytes.length; i += 8) cells = set(cells, view.getUint32(i, true), view, i + 4);
  return cells;
}

/** @param {Uint8Array} cells @returns {Promise<string>} SHA-256 of the cells, as the server says it */
export async function hashOf(cells) {
  const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", /** @type {any} */ (cells)));
  return Array.from(sum, (b) => b.toString(16).padStart(2, "0")).join("");
}

/** @param {Uint8Array} cells @returns {number[]} how many cells are of each phase */
export function phases(cells) {
  const n = new Array(16).fill(0);
  for (let i = 0; i < cells.length; i += cellBytes) n[cells[i] & 15]++;
  return n;
}

/** @param {Uint8Array} cells @returns {number[]} how many cells have each cause */
export function causes(cells) {
  const n = new Array(16).fill(0);
  for (let i = 0; i < cells.length; i += cellBytes) n[cells[i] >> 4]++;
  return n;
}
