// One card per boiler: efficiency now and lately, losses, and why to doubt it.

import { el, keyed, setMark, setText } from "./dom.js";
import { percent, reason } from "./format.js";
import { Indicator, outside } from "./indicator.js";
import { Sankey } from "./sankey.js";

const LABELS = {
  dry_gas: "Dry flue gas", hydrogen: "Water from hydrogen", moisture: "Moisture",
  co: "Unburnt CO", surface: "Casing",
};

export class Boilers {
  constructor(container) {
    this.container = container;
    this.cards = new Map();
    this.trends = new Map(); // tag of an efficiency -> its indicator
  }

  /** What /api/losses says: which boilers there are, and the tags of their shares. */
  describe(boilers) {
    keyed(this.container, this.cards, boilers.map((b) => b.boiler), (name) => new Card(name));
    for (const boiler of boilers) this.cards.get(boiler.boiler).describe(boiler);
    this.trends = new Map([...this.cards.values()].map((card) => [card.tag("efficiency_hhv"), card.indicator]));
  }

  /** Whether a tag belongs to a boiler or share unknown to `describe`. */
  isNews(tag) {
    const [, boiler, kind] = /^(.+)\.(efficiency_hhv|loss_.+|credit_.+)$/.exec(tag) ?? [];
    if (kind === undefined) return false;
    const card = this.cards.get(boiler);
    return (kind === "efficiency_hhv") === (card === undefined) && !card?.knows(tag);
  }

  /** A new reading of a tag; kept for the trend even while hidden. */
  take(reading) {
    this.trends.get(reading.tag)?.add(Date.parse(reading.time) / 1000, reading.value);
  }

  draw(now, latest) {
    for (const card of this.cards.values()) card.draw(now, latest);
  }
}

class Card {
  constructor(name) {
    this.name = name;
    this.indicator = new Indicator(`Efficiency of ${name}`);
    this.sankey = new Sankey();
    this.quality = el("span");
    this.figure = el("span", { class: "figure" }, "–");
    this.lhv = el("span");
    this.band = el("span");
    this.facts = el("span");
    this.why = el("span");
    this.note = el("p", { class: "note" }, this.why);
    this.nothing = el("p", { class: "quiet" }, "No heat balance while there is no efficiency.");
    this.losses = el("figure", { class: "losses" }, this.sankey.node, this.nothing);
    const title = el("h2", {}, name);
    title.id = `boiler-${name}`;
    this.node = el("section", { class: "panel boiler", "data-boiler": name },
      el("div", { class: "head" }, title, this.quality),
      el("div", { class: "columns" },
        el("div", { class: "efficiency" },
          el("p", { class: "now" }, el("span", { class: "quiet" }, "Efficiency"), this.figure,
            el("span", { class: "quiet" }, "of HHV"), this.lhv),
          this.indicator.node,
          el("p", { class: "quiet facts" }, this.band, this.facts)),
        this.losses),
      this.note);
    this.node.setAttribute("aria-labelledby", title.id);
    this.recall();
  }

  async recall() {
    const tag = encodeURIComponent(this.tag("efficiency_hhv"));
    const answer = await fetch(`/api/trend?tag=${tag}`).catch(() => 0);
    if (answer.ok) this.indicator.recall((await answer.json())[0].stretches);
  }

  describe(boiler) {
    this.boiler = boiler;
    this.shares = [...boiler.losses, ...boiler.credits];
  }

  knows(tag) {
    return this.shares.some((share) => share.tag === tag);
  }

  tag(name) {
    return `${this.name}.${name}`;
  }

  draw(now, latest) {
    const of = (name) => latest.get(this.tag(name));
    const efficiency = of("efficiency_hhv"), lhv = of("efficiency_lhv")?.value ?? null;
    const { normal_low: low, normal_high: high } = this.boiler;
    const value = efficiency?.value ?? null, severity = efficiency?.severity ?? "bad";
    setText(this.figure, value === null ? "–" : percent(value));
    this.figure.className = `figure ${severity}`;
    setText(this.lhv, lhv === null ? "" : `${percent(lhv)} of LHV`);
    setMark(this.quality, severity, efficiency ? severity : "waiting");
    const off = outside(value, low, high);
    if (off) setMark(this.band, "uncertain", off);
    else {
      setText(this.band, low === null ? "no normal band configured" : `normal ${low} to ${high} %`);
      this.band.className = "";
    }
    this.indicator.draw(now, low, high);
    setText(this.facts, facts(of("excess_air"), of("flue_o2_dry")));
    this.drawLosses(value, severity, latest);
    this.drawNote(efficiency, of("efficiency_note"), severity);
  }

  drawLosses(value, severity, latest) {
    this.nothing.hidden = value !== null;
    this.sankey.node.classList.toggle("none", value === null);
    if (value === null) return;
    const sources = [{ name: "fuel", label: "Fuel", share: 100 }];
    const drains = [{ name: "steam", label: "Steam", share: value }];
    for (const share of this.boiler.losses) {
      drains.push({
        name: share.name, label: LABELS[share.name] ?? share.name.replaceAll("_", " "),
        share: Math.max(0, latest.get(share.tag)?.value ?? 0), description: share.description,
      });
    }
    for (const share of this.boiler.credits) {
      const heat = latest.get(share.tag)?.value ?? 0;
      const into = heat < 0 ? drains : sources;
      if (Math.abs(heat) >= 0.005) into.push({
        name: share.tag, label: heat < 0 ? "Heating cold air" : "Warm air",
        share: Math.abs(heat), description: share.description,
      });
    }
    const sum = (flows) => flows.reduce((total, flow) => total + flow.share, 0);
    const rest = sum(sources) - sum(drains);
    if (rest > 0.05) drains.push({ name: "rest", label: "Not accounted for", share: rest });
    this.sankey.draw(sources, drains, severity);
  }

  drawNote(efficiency, note, severity) {
    const said = typeof note?.value === "string" ? note.value.replace(/^(good|uncertain|bad)(: )?/, "") : "";
    const why = said || (efficiency ? reason(efficiency.quality_name) : "not computed yet");
    this.note.hidden = severity === "good";
    if (severity !== "good") setMark(this.why, severity, `Efficiency is ${severity}${why && `: ${why}`}`);
  }
}

function facts(air, oxygen) {
  const parts = [];
  if (typeof air?.value === "number") parts.push(`excess air ${air.value.toFixed(1)} %`);
  if (typeof oxygen?.value === "number") parts.push(`O₂ ${oxygen.value.toFixed(2)} % dry`);
  return parts.join(" · ");
}
