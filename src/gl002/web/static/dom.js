// Elements made and changed by hand: text is always text, never markup.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element; children are elements or text. */
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** An SVG element. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** The element with an id. */
export function byId(id) {
  return document.getElementById(id);
}

/** Change a text only if it differs: writing it again would cost a layout. */
export function setText(node, text) {
  if (node.shown !== text) node.textContent = node.shown = text;
}

/** Change an attribute only where it differs; null takes it away. */
export function setAttribute(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

const SHAPES = {
  good: "●", up: "●", connected: "●",
  uncertain: "▲", retrying: "▲", late: "▲",
  bad: "■", failed: "■", cut: "■",
};

/** A state as shape and word, so that it does not need its colour. */
export function setMark(node, state, words = state) {
  setText(node, `${SHAPES[state] ?? "○"} ${words}`);
  setAttribute(node, "class", `mark ${state}`);
}

/** Show keyed rows in a container: make new ones, drop gone ones. */
export function keyed(container, rows, keys, make) {
  for (const key of keys) {
    if (!rows.has(key)) {
      rows.set(key, make(key));
      container.append(rows.get(key).node);
    }
  }
  if (rows.size === keys.length) return;
  const wanted = new Set(keys);
  for (const [key, row] of rows) {
    if (!wanted.has(key)) {
      row.node.remove();
      rows.delete(key);
    }
  }
}
