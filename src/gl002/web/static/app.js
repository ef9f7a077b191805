// Starts the page: takes what the gateway sends, and draws it at most once a second.

import { byId, setMark, setText } from "./dom.js";
import { times } from "./format.js";
import { Boilers } from "./boilers.js";
import { Link } from "./link.js";
import { People } from "./people.js";
import { System } from "./system.js";
import { Tags } from "./tags.js";

const latest = new Map(); // tag -> reading
const newcomers = new Set(); // tags that may not have been described yet
let stale = new Set();
let status = null;
let heardAt = 0; // when the status came, ms of this page
let ahead = 0; // ms the gateway's clock is ahead of the browser's
let lastUp = null; // time of the last status
let describing = -Infinity; // when it was begun last, ms of this page
let described = null; // which configuration, by the time it was taken up

const system = new System();
const people = new People(askToSignIn, () => requestAnimationFrame(draw));
const boilers = new Boilers(byId("boilers"));
const tags = new Tags(byId("values"), byId("search"), byId("abnormal"), byId("shown"));

const link = new Link({
  batch(readings) {
    for (const reading of readings) {
      if (!latest.has(reading.tag)) newcomers.add(reading.tag);
      latest.set(reading.tag, reading);
      boilers.take(reading);
    }
  },
  status(told) {
    status = told;
    heardAt = performance.now();
    ahead = told.time / 1e6 - Date.now();
    lastUp = times(new Date(told.time / 1e6));
    people.take(told);
    requestAnimationFrame(draw);
  },
  stale(names) {
    stale = new Set(names);
  },
  back: describe,
  refused: askToSignIn,
});

/** Fetch what does not come with the values: descriptions, units, boilers. */
async function describe() {
  if (performance.now() - describing < 3000) return;
  describing = performance.now();
  const loaded = status?.loaded?.time ?? null;
  try {
    const [about, losses] = await Promise.all(
      ["/api/values", "/api/losses"].map(async (path) => {
        const answer = await fetch(path);
        if (answer.status === 401) askToSignIn();
        if (!answer.ok) throw new Error(path);
        return answer.json();
      }));
    tags.describe(about);
    for (const tag of latest.keys()) {
      if (!tags.has(tag) && !newcomers.has(tag)) latest.delete(tag);
    }
    described = loaded ?? described;
    boilers.describe(losses);
    requestAnimationFrame(draw);
  } catch {
    describing = -Infinity; // repeated once the link is back
  }
}

function draw() {
  drawLink();
  if (status === null || document.hidden) return;
  const now = (Date.now() + ahead) / 1000, fresh = (performance.now() - heardAt) / 1000;
  system.draw(status, now, fresh);
  people.draw(status, now);
  boilers.draw(now, latest);
  tags.draw(now, latest, stale);
  system.drawCounts(tags.counts());
  for (const tag of newcomers) {
    if (tags.has(tag) && !boilers.isNews(tag)) newcomers.delete(tag);
  }
  if (newcomers.size || described !== (status.loaded?.time ?? null)) describe();
}

function drawLink() {
  const clock = times(new Date(Date.now() + ahead));
  setText(byId("utc"), clock.utc);
  setText(byId("local"), clock.local);
  const cut = status !== null && !link.up;
  setMark(byId("link"), link.up ? "connected" : !byId("login").hidden ? "not signed in" : cut ? "cut" : "connecting");
  document.body.classList.toggle("cut", cut);
  const notice = byId("cut");
  notice.hidden = !cut;
  if (cut) {
    setText(notice, `■ No connection to the gateway since ${lastUp.utc} UTC` +
      `${lastUp.local === lastUp.utc ? "" : ` (${lastUp.local} here)`}. Everything below is old. Trying again.`);
  }
  const waiting = people.waiting ? `(${people.waiting}) ` : "";
  document.title = cut ? "■ not connected – gl002" : `${waiting}${status?.name ?? "gl002"} – gl002`;
}

function askToSignIn() {
  link.close();
  byId("main").hidden = true;
  byId("login").hidden = false;
  byId("token").focus();
}

async function signIn(event) {
  event.preventDefault();
  const answer = await fetch("/login", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token: byId("token").value.trim() }),
  }).catch(() => null);
  if (answer?.ok) start();
  else setText(byId("refused"), answer ? "That is not this gateway's token." : "The gateway does not answer.");
}

async function start() {
  const answer = await fetch("/api/status").catch(() => null);
  if (answer?.status === 401) {
    if (location.search === "?refused") setText(byId("refused"), "That address holds no valid token.");
    askToSignIn();
    return;
  }
  byId("token").value = "";
  byId("login").hidden = true;
  byId("main").hidden = false;
  await describe();
  link.open();
}

byId("login").addEventListener("submit", signIn);
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
setText(byId("zone"), zone.replaceAll("_", " "));
byId("zone").parentElement.hidden = zone === "UTC";
document.addEventListener("visibilitychange", () => requestAnimationFrame(draw));
setInterval(() => {
  link.check();
  if (!link.up) draw();
  else drawLink();
}, 1000);
start();
