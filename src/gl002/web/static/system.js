// Top bar, inputs, store, outputs.

import { byId, el, keyed, setAttribute, setMark, setText } from "./dom.js";
import { bytes, count, rate, span } from "./format.js";

const SOON = 86400; // seconds until the store is full
const TELL_EVERY = 5000; // ms between two announcements to a screen reader

export class System {
  constructor() {
    this.inputs = new Map();
    this.outputs = new Map();
    this.states = new Map();
    this.unsaid = new Map();
    this.saidAt = -Infinity;
    this.bar = el("div", { class: "fill" });
    this.used = el("p");
    this.room = el("p", { class: "quiet" });
    this.lost = el("p");
    this.meter = el("div", { class: "meter", role: "meter", "aria-label": "Store in use",
      "aria-valuemin": 0, "aria-valuemax": 100 }, this.bar);
    byId("store").append(this.meter, this.used, this.room, this.lost);
  }

  /** now: seconds on the gateway's clock; fresh: seconds since the status was made. */
  draw(status, now, fresh) {
    setText(byId("name"), status.name);
    this.drawNewest(status, now);
    const writes = byId("writes");
    if (status.writes === "off") setText(writes, "off");
    else setMark(writes, "uncertain", status.writes.replace("_", " "));
    this.drawRows(status, now, fresh);
    this.drawStore(status);
    setText(byId("about"), `gl002 ${status.version}, up ${span(status.uptime)}, memory ` +
      `${bytes(status.memory)}, loop delay ${Math.round(status.lag * 1000)} ms` +
      (status.faults ? `, ${status.faults} faults: see the log` : ""));
    this.tell(status);
  }

  drawNewest(status, now) {
    setText(byId("age"), status.measured ? `${span(now - status.measured / 1e9)} old` : "none yet");
  }

  drawRows(status, now, fresh) {
    const names = (parts) => parts.map((part) => part.name);
    keyed(byId("inputs"), this.inputs, names(status.inputs), () => new Part());
    keyed(byId("outputs"), this.outputs, names(status.outputs), () => new Part());
    for (const input of status.inputs) {
      this.inputs.get(input.name).draw(input, fresh, [
        [rate(input.rate)],
        [input.last ? span(now - input.last / 1e9) : "–"],
        [count(input.bad), input.bad > 0],
      ]);
    }
    for (const output of status.outputs) {
      this.outputs.get(output.name).draw(output, fresh, [
        [rate(output.rate)], [count(output.pending)], [count(output.dead), output.dead > 0],
      ]);
    }
  }

  drawStore({ store, full_in_s: fullIn, outputs }) {
    const share = (100 * store.bytes) / store.max_bytes;
    this.bar.style.width = `${Math.min(100, share).toFixed(1)}%`;
    setAttribute(this.meter, "aria-valuenow", share.toFixed(1));
    const queued = Math.max(0, ...outputs.map((output) => output.pending));
    setText(this.used, `${count(queued)} values queued; ${bytes(store.bytes)} of ` +
      `${bytes(store.max_bytes)} on disk`);
    if (fullIn === null) {
      setText(this.room, `not filling · ${bytes(store.free)} free on this disk`);
      this.room.className = "quiet";
    } else {
      setMark(this.room, fullIn < SOON ? "uncertain" : "filling", `full in ${span(fullIn)} at this rate`);
    }
    const gone = store.dropped + store.lost;
    this.lost.hidden = !gone;
    if (gone) {
      setMark(this.lost, "bad", `${count(store.dropped)} values given up because it was full, ` +
        `${count(store.lost)} damaged on disk`);
    }
  }

  /** Announce changes of state, the latest of each part, every few seconds at most. */
  tell(status) {
    for (const part of [...status.inputs, ...status.outputs]) {
      const before = this.states.get(part.name);
      this.states.set(part.name, part.state);
      if (before !== undefined && before !== part.state) {
        this.unsaid.set(part.name, `${part.name} is ${part.state}.`);
      }
    }
    if (this.unsaid.size && performance.now() - this.saidAt > TELL_EVERY) {
      byId("news").textContent = [...this.unsaid.values()].join(" ");
      this.unsaid.clear();
      this.saidAt = performance.now();
    }
  }

  drawCounts(counts) {
    const parts = [[`${count(counts.all)}`, ""]];
    if (counts.bad) parts.push([`■ ${count(counts.bad)} bad`, "mark bad"]);
    if (counts.uncertain) parts.push([`▲ ${count(counts.uncertain)} uncertain`, "mark uncertain"]);
    if (counts.late) parts.push([`▲ ${count(counts.late)} late`, "mark late"]);
    const key = parts.join();
    if (this.counted === key) return;
    this.counted = key;
    byId("counts").replaceChildren(...parts.map(([text, kind]) => el("span", { class: kind }, text)));
  }
}

/** An input or output: a row, and below it what is wrong. */
class Part {
  constructor() {
    this.state = el("span");
    this.name = el("th", { scope: "row" });
    this.cells = [el("td", { class: "number" }), el("td", { class: "number" }), el("td", { class: "number" })];
    this.trouble = el("td", { colspan: 5 });
    this.why = el("tr", { class: "why" }, this.trouble);
    this.node = el("tbody", {}, el("tr", {}, el("td", {}, this.state), this.name, ...this.cells), this.why);
  }

  draw(part, fresh, cells) {
    setMark(this.state, part.state);
    setText(this.name, part.name);
    for (const [i, [text, abnormal]] of cells.entries()) {
      setText(this.cells[i], text);
      setAttribute(this.cells[i], "class", abnormal ? "number abnormal" : "number");
    }
    this.why.hidden = !part.error;
    const wait = part.retry_in - fresh;
    const again = !part.retry_in ? "" : wait > 0 ? ` Next try in ${span(Math.ceil(wait))}.` : " Trying now.";
    setText(this.trouble, part.error ? `${part.error}.${again}` : "");
  }
}
