// Numbers, spans and times as people read them.

const grouped = Array.from({ length: 5 }, (_, digits) =>
  new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }));
const clock = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
const local = new Intl.DateTimeFormat("en-GB", clock);
const utc = new Intl.DateTimeFormat("en-GB", { ...clock, timeZone: "UTC" });

/** A tag's value. Its decimals depend on its size only, so that it stands still. */
export function value(v) {
  if (v === null || v === undefined) return "–";
  if (typeof v === "boolean") return v ? "yes" : "no";
  if (typeof v === "string") return v;
  const size = Math.abs(v);
  if (Number.isSafeInteger(v)) return grouped[0].format(v);
  if (size >= 1e9 || size < 1e-4) return v.toExponential(3);
  return grouped[size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : size >= 1 ? 3 : 4].format(v);
}

/** Percent of a heat balance: two decimals, never zero for what is not zero. */
export function percent(v) {
  if (v !== 0 && Math.abs(v) < 0.005) return "< 0.01 %";
  return `${grouped[v === 100 ? 0 : 2].format(v)} %`;
}

/** A whole number. */
export function count(v) {
  return grouped[0].format(v);
}

/** Values per second. */
export function rate(v) {
  return grouped[v >= 100 ? 0 : 1].format(v);
}

/** Seconds as '4.2 s', '42 s', '12 min 3 s', '6 d 2 h'. */
export function span(seconds) {
  const s = Math.max(0, seconds);
  if (s < 9.95) return `${grouped[1].format(s)} s`;
  if (s < 59.5) return `${Math.round(s)} s`;
  for (const [size, unit, smaller, small] of [[86400, "d", 3600, "h"], [3600, "h", 60, "min"]]) {
    if (s >= size) return `${Math.floor(s / size)} ${unit} ${Math.floor((s % size) / smaller)} ${small}`;
  }
  return `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s`;
}

/** Bytes as '2.6 MiB'. */
export function bytes(n) {
  let size = n;
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (size < 1024) return `${grouped[size < 10 && unit !== "B" ? 1 : 0].format(size)} ${unit}`;
    size /= 1024;
  }
  return `${grouped[1].format(size)} TiB`;
}

/** Time of day, UTC and local. */
export function times(date) {
  return { utc: utc.format(date), local: local.format(date) };
}

/** 'BadNoCommunication' as 'no communication': the severity stands beside it. */
export function reason(name) {
  const words = name.replace(/^(Good|Uncertain|Bad)/, "").replace(/([a-z])([A-Z])/g, "$1 $2");
  return words.toLowerCase();
}
