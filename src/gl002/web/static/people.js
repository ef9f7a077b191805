// What waits for a person: outbox and write proposals. Read-only: people type the command to decide.

import { byId, el, setAttribute, setMark, setText } from "./dom.js";
import { count, span } from "./format.js";

const MOST = 4; // rows that wait for a person; the others are counted
const REST = 3; // rows that do not
const PATIENCE = 30000; // ms until both are fetched again though no count changed
const PAUSE = 3000; // ms after a fetch that failed

const GOOD = new Set(["done", "written"]);
const ODD = new Set(["differs", "unknown", "failed"]); // waits for nobody, but worth a look

export class People {
  /** refused: the session is over; redraw: there is news. */
  constructor(refused, redraw) {
    this.refused = refused;
    this.redraw = redraw;
    this.toApprove = this.gone = this.asked = this.waiting = this.shown = 0;
    this.failed = false; // the last fetch
    this.answers = null;
    this.key = "";
    this.fetchedAt = -Infinity;
    this.fetching = false;
    this.rows = [];
  }

  /** Count, also while hidden: the number is in the page's title. */
  take(status) {
    this.fetch(status);
    const of = (state) => status.outbox?.[state] ?? this.answers?.actions.counts[state] ?? 0;
    this.toApprove = of("waiting");
    this.gone = of("failed");
    this.asked = status.proposals;
    this.waiting = this.toApprove + this.gone + this.asked;
  }

  /** status: as taken last; now: seconds on the gateway's clock. */
  draw(status, now) {
    this.drawReload(status.loaded);
    if (this.answers === null) return;
    const { actions, proposals } = this.answers;
    byId("people").hidden = byId("person").hidden =
      !actions.configured && !proposals.configured && !this.waiting;
    const state = this.gone ? "failed" : this.waiting ? "uncertain" : "idle";
    setMark(byId("waiting"), state, `waiting for a person: ${count(this.waiting)}`);
    const link = byId("to-people");
    setMark(link, state, count(this.waiting));
    setAttribute(link, "href", this.waiting ? "#people" : null);
    setText(byId("of-which"), [
      this.toApprove && `${count(this.toApprove)} to approve`, this.gone && `${count(this.gone)} failed`,
      this.asked && `${count(this.asked)} ${this.asked === 1 ? "write" : "writes"} to the plant asked for`,
    ].filter(Boolean).join(", "));
    this.drawRows(now);
  }

  /** Fetch both queues when a count has changed. */
  async fetch(status) {
    const { waiting, approved, sending, failed, done } = status.outbox ?? {};
    const key = [waiting, approved, sending, failed, done, status.proposals].join();
    const since = performance.now() - this.fetchedAt;
    if (this.fetching || since < (this.failed ? PAUSE : key === this.key ? PATIENCE : 0)) return;
    this.fetching = true;
    this.fetchedAt = performance.now();
    try {
      const [actions, proposals] = await Promise.all(["/api/outbox", "/api/proposals"].map(async (path) => {
        const answer = await fetch(path);
        if (answer.status === 401) this.refused();
        if (!answer.ok) throw new Error(path);
        return answer.json();
      }));
      this.answers = { actions, proposals };
      this.key = key;
      this.failed = false;
      this.list();
      this.redraw();
    } catch {
      this.failed = true; // its counts go on coming with the status
    } finally {
      this.fetching = false;
    }
  }

  /** Make the rows: waiting ones first, newest first in each. */
  list() {
    const { actions, proposals } = this.answers;
    const all = [...actions.entries.map(ofAction), ...proposals.entries.map(ofProposal)]
      .sort((a, b) => b.since - a.since);
    const urgent = all.filter((each) => each.command), others = all.filter((each) => !each.command);
    this.rows = [...urgent.slice(0, MOST), ...others.slice(0, REST)].map((each) => new Row(each));
    byId("decisions").hidden = !this.rows.length;
    for (const body of [...byId("decisions").tBodies]) body.remove();
    byId("decisions").append(...this.rows.map((row) => row.node));
    this.shown = Math.min(urgent.length, MOST);
    this.lists = [actions, proposals].filter((queue) => queue.person).map((queue) => queue.command).join(" and ");
  }

  drawRows(now) {
    for (const row of this.rows) row.draw(now);
    const more = this.waiting - this.shown, hint = byId("more");
    hint.hidden = !this.failed && more <= 0;
    setText(hint, this.failed ? "The gateway cannot read the list just now; what stands here may be old."
      : `${count(more)} more: ${this.lists}`);
  }

  /** That a changed configuration was refused. */
  drawReload(loaded) {
    const notice = byId("reload");
    notice.hidden = !loaded?.error;
    if (notice.hidden) return;
    const when = new Date(loaded.time / 1e6).toISOString().replace("T", " ").slice(0, 19);
    setMark(byId("reload-mark"), "uncertain", "changed configuration not taken up");
    setText(byId("reload-why"), `${when} UTC: ${loaded.error}`);
  }
}

/** One entry: a row, and below it the command. */
class Row {
  constructor(entry) {
    this.entry = entry;
    const state = el("span");
    setMark(state, markOf(entry), entry.state);
    this.age = el("td", { class: "number", title: `${entry.at} UTC` });
    this.left = el("span", { class: "quiet" });
    this.node = el("tbody", { "data-entry": entry.name },
      el("tr", {}, el("td", {}, state), el("th", { scope: "row" }, entry.what), this.age,
        el("td", {}, entry.number), el("td", {}, entry.why)));
    if (entry.command) {
      this.node.append(el("tr", { class: "todo" },
        el("td", { colspan: 5 }, el("code", {}, entry.command), " ", this.left)));
    }
  }

  draw(now) {
    setText(this.age, span(now - this.entry.since));
    const left = this.entry.expires - now;
    setText(this.left, !this.entry.expires ? "" : left > 0 ? `lapses in ${span(left)}` : "lapsing now");
  }
}

function markOf({ state, command }) {
  if (command) return state === "failed" ? "failed" : "uncertain";
  return GOOD.has(state) ? "good" : ODD.has(state) ? "uncertain" : "idle";
}

function ofAction(each) {
  return {
    ...common(each), name: `outbox ${each.id}`, number: each.number,
    what: `${each.destination} ${each.action}${each.dry_run ? " (dry run)" : ""}`,
    why: said(each.text, each.detail),
  };
}

function ofProposal(each) {
  const asker = [each.origin, each.asker].filter(Boolean).join(": ");
  return {
    ...common(each), name: `proposals ${each.id}`, number: "",
    what: `${each.point} = ${each.value} ${each.unit}`.trim(), // not rounded: it is decided on
    why: said(`${asker} asks for it`, each.reason, each.detail),
  };
}

function common({ state, since, expires, command }) {
  return {
    state, command, since: Date.parse(since) / 1000, expires: expires && Date.parse(expires) / 1000,
    at: since.replace("T", " ").slice(0, 19),
  };
}

function said(...parts) {
  return parts.filter(Boolean).join(" · ");
}
