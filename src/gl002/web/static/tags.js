// The table of all tags. Rows in view are drawn each time, changed cells only. The others, for a
// search, print or screen reader, at once when their quality changes, otherwise in turn, to save work.

import { el, setAttribute, setMark, setText } from "./dom.js";
import { reason, span, value } from "./format.js";

const TURNS = 8; // drawings until each row out of view had its turn

export class Tags {
  constructor(table, search, abnormal, shown) {
    this.body = table.tBodies[0];
    this.rows = new Map();
    this.visible = new Set();
    this.turn = 0;
    this.now = null; // of the last drawing
    this.shown = shown;
    this.watcher = new IntersectionObserver((entries) => this.sees(entries), {
      root: table.parentElement, rootMargin: "200px",
    });
    this.search = search;
    this.abnormal = abnormal;
    search.addEventListener("input", () => this.filter());
    abnormal.addEventListener("change", () => this.filter());
  }

  /** Tags as /api/values lists them, in order; others are gone. */
  describe(tags) {
    const told = new Set(tags.map((about) => about.tag));
    for (const [tag, row] of this.rows) {
      if (!told.has(tag)) this.drop(tag, row);
    }
    const rows = tags.map((about) => {
      const row = this.rows.get(about.tag) ?? this.add(about.tag);
      row.describe(about);
      return row.node;
    });
    this.body.append(...rows);
    this.filter();
  }

  has(tag) {
    return this.rows.has(tag);
  }

  add(tag) {
    const row = new Row(tag);
    this.rows.set(tag, row);
    this.watcher.observe(row.node);
    return row;
  }

  drop(tag, row) {
    this.rows.delete(tag);
    this.visible.delete(row);
    this.watcher.unobserve(row.node);
    row.node.remove();
  }

  sees(entries) {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) this.visible.delete(target.row);
      else {
        this.visible.add(target.row);
        if (this.now) target.row.draw(this.now);
      }
    }
  }

  filter() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of this.rows.values()) {
      const wanted = words.every((word) => row.text.includes(word)) &&
        (!this.abnormal.checked || row.abnormal);
      if (row.node.hidden === wanted) row.node.hidden = !wanted;
      count += wanted;
    }
    setText(this.shown, `${count} of ${this.rows.size}`);
  }

  /** latest: tag -> reading; stale: set of tags; now: seconds, gateway's clock. */
  draw(now, latest, stale) {
    this.now = now;
    let changed = false, place = 0;
    this.turn = (this.turn + 1) % TURNS;
    for (const [tag, row] of this.rows) {
      const news = row.judge(latest.get(tag), stale.has(tag));
      changed ||= news;
      place += 1;
      if (news || place % TURNS === this.turn || this.visible.has(row)) row.draw(now);
    }
    if (changed && this.abnormal.checked) this.filter();
  }

  /** How many tags are bad, uncertain, late. */
  counts() {
    const counts = { all: this.rows.size, bad: 0, uncertain: 0, late: 0 };
    for (const row of this.rows.values()) {
      if (row.reading?.severity === "bad") counts.bad += 1;
      else if (row.reading?.severity === "uncertain") counts.uncertain += 1;
      if (row.stale) counts.late += 1;
    }
    return counts;
  }
}

class Row {
  constructor(tag) {
    this.tag = tag;
    this.name = el("span");
    this.about = el("span", { class: "quiet" });
    this.value = el("td", { class: "number" });
    this.unit = el("td");
    this.age = el("td", { class: "number" });
    this.quality = el("span");
    this.source = el("td", { class: "quiet" });
    this.node = el("tr", { "data-tag": tag },
      el("th", { scope: "row" }, this.name, " ", this.about), this.value, this.unit, this.age,
      el("td", {}, this.quality), this.source);
    this.node.row = this;
    this.stale = false;
    this.reading = null;
    this.said = ""; // as last seen: 'none', 'good', 'bad late'
  }

  get abnormal() {
    return this.said !== "good";
  }

  describe(about) {
    setText(this.name, about.tag);
    setText(this.about, about.description);
    setText(this.source, about.source);
    setAttribute(this.source, "title", about.address);
    setText(this.unit, about.unit);
    this.text = [about.tag, about.description, about.source, about.unit].join(" ").toLowerCase();
  }

  /** Take the reading; returns whether its state has changed. */
  judge(reading, stale) {
    this.reading = reading ?? null;
    this.stale = stale;
    const said = `${this.reading?.severity ?? "none"}${stale ? " late" : ""}`;
    const changed = said !== this.said;
    this.said = said;
    return changed;
  }

  draw(now) {
    const reading = this.reading;
    setAttribute(this.node, "class", this.stale ? "stale" : null);
    if (reading === null) {
      setText(this.value, "–");
      setMark(this.quality, "waiting", "no value yet");
      return;
    }
    setText(this.value, value(reading.value));
    if (reading.unit) setText(this.unit, reading.unit);
    const age = span(now - Date.parse(reading.time) / 1000);
    setText(this.age, this.stale ? `late ${age}` : age);
    const why = reason(reading.quality_name);
    setMark(this.quality, reading.severity, why ? `${reading.severity}: ${why}` : reading.severity);
  }
}
