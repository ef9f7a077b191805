// A moving analog indicator with its normal band, and the trend beside it on the same scale.

import { setAttribute, setText, svg } from "./dom.js";
import { span } from "./format.js";

const WIDTH = 440, HEIGHT = 150, TOP = 8, BOTTOM = 126;
const BAR = 44, BAR_WIDTH = 14, TREND = 84, RIGHT = 436;
const WINDOWS = [120, 300, 600, 1800]; // seconds
const LEAST_SPAN = 2; // percent points from bottom to top

export class Indicator {
  constructor(label) {
    this.label = label;
    this.points = []; // [seconds, value or null], oldest first
    this.ticks = svg("g", { class: "ticks" });
    this.bands = [svg("rect", { class: "band" }), svg("rect", { class: "band faint" })];
    this.line = svg("path", { class: "trend" });
    this.pointer = svg("path", { class: "pointer" });
    this.since = svg("text", { x: TREND, y: HEIGHT - 6 });
    this.node = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "indicator" },
      svg("rect", { x: BAR, y: TOP, width: BAR_WIDTH, height: BOTTOM - TOP, class: "scale" }),
      svg("rect", { x: TREND, y: TOP, width: RIGHT - TREND, height: BOTTOM - TOP, class: "paper" }),
      ...this.bands, this.ticks, this.line, this.pointer, this.since,
      svg("text", { x: RIGHT, y: HEIGHT - 6, "text-anchor": "end" }, "now"));
  }

  /** Remember a value; null leaves a gap. */
  add(seconds, value) {
    const last = this.points.at(-1);
    if (last !== undefined && seconds - last[0] < 0.9 && (value === null) === (last[1] === null)) {
      last[1] = value;
      return;
    }
    this.points.push([seconds, value]);
    const oldest = seconds - WINDOWS.at(-1);
    while (this.points[0][0] < oldest) this.points.shift();
  }

  /** The history; two minutes without a value are a gap. */
  recall(stretches) {
    const past = [], first = this.points[0]?.[0] ?? Infinity;
    let last = Infinity;
    for (const { start, low, high } of stretches) {
      const at = Date.parse(start) / 1000;
      if (at >= first) break;
      if (at - last > 120) past.push([last, null]);
      past.push([at, low], [at, high]);
      last = at;
    }
    this.points.unshift(...past);
  }

  draw(now, low, high) {
    const present = this.points.at(-1)?.[1] ?? null;
    const [bottom, top] = this.range(low, high);
    const y = (v) => BOTTOM - ((v - bottom) / (top - bottom)) * (BOTTOM - TOP);
    this.drawScale(bottom, top, y);
    for (const [i, band] of this.bands.entries()) {
      setAttribute(band, "visibility", low === null ? "hidden" : "visible");
      if (low === null) continue;
      setAttribute(band, "x", i ? TREND : BAR);
      setAttribute(band, "width", i ? RIGHT - TREND : BAR_WIDTH);
      setAttribute(band, "y", y(high).toFixed(1));
      setAttribute(band, "height", (y(low) - y(high)).toFixed(1));
    }
    this.drawPointer(present, y, low, high);
    this.drawTrend(now, y);
    setAttribute(this.node, "aria-label", this.words(present, low, high));
  }

  range(low, high) {
    const seen = this.points.map((p) => p[1]).filter((v) => v !== null);
    const all = low === null ? seen : [...seen, low, high];
    if (!all.length) return [0, 100];
    let bottom = Math.min(...all), top = Math.max(...all);
    const missing = Math.max(0, LEAST_SPAN - (top - bottom)) / 2;
    bottom = Math.floor(bottom - missing - 0.25);
    top = Math.ceil(top + missing + 0.25);
    return [bottom, top];
  }

  drawScale(bottom, top, y) {
    const step = [0.5, 1, 2, 5, 10, 20, 50].find((s) => (top - bottom) / s <= 5);
    const key = `${bottom} ${top}`;
    if (this.scale === key) return;
    this.scale = key;
    this.ticks.replaceChildren();
    for (let v = Math.ceil(bottom / step) * step; v <= top; v += step) {
      const at = y(v).toFixed(1);
      this.ticks.append(
        svg("line", { x1: BAR - 4, x2: BAR, y1: at, y2: at }),
        svg("line", { x1: TREND, x2: RIGHT, y1: at, y2: at, class: "grid" }),
        svg("text", { x: BAR - 8, y: at, dy: "0.35em", "text-anchor": "end" }, String(v)));
    }
  }

  drawPointer(present, y, low, high) {
    setAttribute(this.pointer, "visibility", present === null ? "hidden" : "visible");
    if (present === null) return;
    const at = y(present), tip = BAR + BAR_WIDTH - 6;
    setAttribute(this.pointer, "d", `M${tip} ${at.toFixed(1)}l16 -7v14z`);
    setAttribute(this.pointer, "class", `pointer${outside(present, low, high) ? " off" : ""}`);
  }

  drawTrend(now, y) {
    const elapsed = this.points.length ? now - this.points[0][0] : 0;
    const window = WINDOWS.find((w) => w >= elapsed) ?? WINDOWS.at(-1);
    const x = (t) => RIGHT - ((now - t) / window) * (RIGHT - TREND);
    let path = "", pen = "M";
    for (const [t, v] of thinned(this.points, now - window, window / (RIGHT - TREND))) {
      if (v === null) pen = "M";
      else {
        path += `${pen}${x(t).toFixed(1)} ${y(v).toFixed(1)}`;
        pen = "L";
      }
    }
    setAttribute(this.line, "d", path || "M0 0");
    setText(this.since, `${span(window).replace(/ 0 (s|min)$/, "")} ago`);
  }

  words(present, low, high) {
    if (present === null) return `${this.label}: no value`;
    const where = outside(present, low, high);
    const band = low === null ? "" : `, normally ${low} to ${high} percent${where ? `: ${where}` : ""}`;
    return `${this.label}: ${present.toFixed(2)} percent${band}`;
  }
}

/** A value against its band, in words; '' inside or without one. */
export function outside(value, low, high) {
  if (value === null || low === null || (value >= low && value <= high)) return "";
  const by = value < low ? low - value : value - high;
  return `${by.toFixed(2)} points ${value < low ? "below" : "above"} normal`;
}

/** Two points a pixel at most, lowest and highest: no spike is lost. */
function* thinned(points, from, width) {
  let cell = null, first = null, least = null, most = null;
  const flush = function* () {
    if (first === null) return;
    if (first[1] === null || least === most) yield first;
    else yield* least[0] < most[0] ? [least, most] : [most, least];
  };
  for (const point of points) {
    if (point[0] < from) continue;
    const here = Math.floor(point[0] / width);
    if (here !== cell || (first[1] === null) !== (point[1] === null)) {
      yield* flush();
      [cell, first, least, most] = [here, point, point, point];
    } else {
      if (point[1] < least[1]) least = point;
      if (point[1] > most[1]) most = point;
    }
  }
  yield* flush();
}
