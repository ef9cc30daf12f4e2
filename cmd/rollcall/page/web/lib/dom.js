// @ts-check
/**
 * Makes an element. What is given as text is text: nothing is ever read as HTML.
 * @param {string} name "td.n" is a td of class n
 * @param {Record<string, any>|null} [attrs] on… are listeners, style an object
 * @param {...any} kids elements, text, lists of both; null is left out
 * @returns {HTMLElement}
 */
export function h(name, attrs, ...kids) {
  const [tag, ...classes] = name.split(".");
  const el = document.createElement(tag);
  if (classes.length) el.className = classes.join(" ");
  fill(el, attrs, kids);
  return el;
}

const svgSpace = "http://www.w3.org/2000/svg";

/**
 * Makes an element of a drawing.
 * @param {string} tag
 * @param {Record<string, any>|null} attrs
 * @param {...any} kids
 */
export function svg(tag, attrs, ...kids) {
  const el = document.createElementNS(svgSpace, tag);
  fill(el, attrs, kids);
  return el;
}

/** @param {any} el @param {Record<string, any>|null|undefined} attrs @param {any[]} kids */
function fill(el, attrs, kids) {
  for (const [k, v] of Object.entries(attrs ?? {})) {
    if (k.startsWith("aria-") && typeof v === "boolean") { el.setAttribute(k, String(v)); continue; }
    if (v === null || v === undefined || v === false) continue;
    if (k.startsWith("on")) el.addEventListener(k.slice(2), v);
    else if (k === "style") for (const [p, s] of Object.entries(v)) el.style.setProperty(p, s);
    else if (k === "value" || k === "checked") el[k] = v;
    else el.setAttribute(k, v === true ? "" : String(v));
  }
  el.append(...kids.flat(4).filter((x) => x !== null && x !== undefined && x !== false));
}

/** Says something to who does not see it. @param {string} text */
export function say(text) {
  const el = document.getElementById("said");
  if (el) el.textContent = text;
}

/** @param {string} token @returns {string} the value of a colour of the style sheet */
export function colour(token) {
  return getComputedStyle(document.documentElement).getPropertyValue(token).trim();
}

/** @param {string} ground a colour as the style sheet has it, #rrggbb @returns {string} black or white, whichever is easier to read on it */
export function ink(ground) {
  const v = parseInt(ground.slice(1), 16), f = [v >> 16, (v >> 8) & 255, v & 255].map((x) => (x / 255 <= 0.03928 ? x / 255 / 12.92 : ((x / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * f[0] + 0.7152 * f[1] + 0.0722 * f[2] > 0.179 ? "#000000" : "#ffffff";
}
