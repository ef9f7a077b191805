// Where the heat of the fuel goes: one ribbon for each share, as thick as it is large.

import { setAttribute, setText, svg } from "./dom.js";
import { percent } from "./format.js";

const WIDTH = 460, TOP = 24, PER_POINT = 1.15, LEFT = 10, BEND = 190, RIGHT = 250;
const SLOT = 21, GAP = 8, THINNEST = 1.2, NOTHING = 0.0005;

export class Sankey {
  constructor() {
    this.flows = new Map();
    this.ribbons = svg("g");
    this.source = svg("text", { x: 0, y: 14, class: "strong" });
    this.node = svg("svg", { role: "img", class: "sankey" }, this.ribbons, this.source);
  }

  /**
   * sources: [{name, label, share}], the first is the fuel.
   * drains: the same; the first is what is wanted.
   */
  draw(sources, drains, severity) {
    const wanted = drains.filter((d) => Math.abs(d.share) > NOTHING);
    let y = TOP, slot = TOP;
    const seen = new Set();
    for (const drain of wanted) {
      const height = Math.max(drain.share * PER_POINT, THINNEST);
      const room = Math.max(height, SLOT);
      this.drawFlow(drain, y, slot + (room - height) / 2, height, slot + room / 2);
      seen.add(drain.name);
      y += drain.share * PER_POINT;
      slot += room + (drain === wanted[0] ? GAP : 0);
    }
    for (const [name, flow] of this.flows) {
      if (!seen.has(name)) {
        flow.node.remove();
        this.flows.delete(name);
      }
    }
    setText(this.source, sources.map((s) => `${s.label} ${percent(s.share)}`).join("  +  "));
    setAttribute(this.node, "viewBox", `0 0 ${WIDTH} ${Math.ceil(slot + 4)}`);
    setAttribute(this.node, "class", `sankey ${severity}`);
    const words = wanted.map((d) => `${d.label} ${percent(d.share)}`).join(", ");
    setAttribute(this.node, "aria-label", `Of the heat of the fuel: ${words}`);
  }

  drawFlow(drain, from, to, height, middle) {
    const flow = this.flows.get(drain.name) ?? this.addFlow(drain);
    const low = from + height, end = to + height;
    setAttribute(flow.ribbon, "d",
      `M${LEFT} ${from.toFixed(1)}C${BEND} ${from.toFixed(1)} ${BEND - 60} ${to.toFixed(1)} ${RIGHT} ${to.toFixed(1)}` +
      `V${end.toFixed(1)}C${BEND - 60} ${end.toFixed(1)} ${BEND} ${low.toFixed(1)} ${LEFT} ${low.toFixed(1)}Z`);
    setAttribute(flow.words, "y", middle.toFixed(1));
    setAttribute(flow.figure, "y", middle.toFixed(1));
    setText(flow.label, drain.label);
    setText(flow.figure, percent(drain.share));
  }

  addFlow(drain) {
    const label = svg("tspan"), figure = svg("text", {
      x: WIDTH, dy: "0.35em", "text-anchor": "end", class: "figure",
    });
    const words = svg("text", { x: RIGHT + 10, dy: "0.35em" }, label);
    const ribbon = svg("path", { class: this.flows.size ? "loss" : "steam" });
    const node = svg("g", { "data-share": drain.name }, ribbon, words, figure);
    if (drain.description) node.prepend(svg("title", {}, drain.description));
    const flow = { node, ribbon, words, label, figure };
    this.flows.set(drain.name, flow);
    this.ribbons.append(node);
    return flow;
  }
}
