// @ts-check
/** Glyphs of the phases: meaning is never in a colour alone. */
export const glyphs = [" ", "·", "○", "◔", "◑", "●", "◆", "▽", "✕", "⊘"];

/** Colours of the causes, as those of the phases they come with. */
export const causeColours = ["--p5", "--p9", "--p8", "--p8", "--p7", "--p3", "--p4", "--p2"];
export const causeGlyphs = ["●", "⊘", "▼", "✕", "▽", "◔", "◑", "○"];

/** @param {number} n @param {string} one @param {string} [many] */
export const count = (n, one, many) => `${num(n)} ${n === 1 ? one : many ?? one + "s"}`;

/** @param {number} n */
export const num = (n) => n.toLocaleString("en");

/** @param {number} ms @returns {string} "1 h 3 min", "4.2 s" */
export function span(ms) {
  if (Math.round(ms) < 1000) return `${Math.round(ms)} ms`;
  const s = Math.round(ms / 1000), m = Math.round(s / 60), hours = Math.round(m / 60);
  if (s < 60) return `${s < 10 ? (ms / 1000).toFixed(1) : s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (m < 1440) return `${Math.floor(m / 60)} h ${m % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** @param {string|number} t @returns {string} to the millisecond, in UTC */
export const clock = (t) => new Date(t).toISOString().replace("T", " ").replace("Z", " UTC");

/** @param {string|number} t */
export const hour = (t) => new Date(t).toISOString().slice(11, 23);

/** @param {number} ns nanoseconds */
export const took = (ns) => span(ns / 1e6);

/** @param {any} r a rollout @returns {string} its name in instants */
export const rolloutName = (r) => `${r.daemonSet.namespace ?? r.daemonSet.Namespace}/${r.daemonSet.name ?? r.daemonSet.Name}#${r.revision ?? 0}`;

/** @param {any} k a key @returns {string} */
export const keyName = (k) => `${k.namespace ?? k.Namespace}/${k.name ?? k.Name}`;

/** @param {string} text @returns {string} as a word of a command line */
export const quote = (text) => (/^[\w./:=@%+,-]+$/.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`);
