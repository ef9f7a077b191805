// Reads a JSON line, writes a JSON line: {"decode": base64} or {"encode": payload}.
// 64-bit numbers are strings in JSON; in a payload to encode, {"long": "..."} stands for one.
const readline = require("readline");
const Long = require("long");
const { get } = require("sparkplug-payload");

const codec = get("spBv1.0");

function toJson(_key, value) {
  if (Long.isLong(value)) return value.toString();
  if (value && value.type === "Buffer") return { base64: Buffer.from(value.data).toString("base64") };
  if (value instanceof Uint8Array) return { base64: Buffer.from(value).toString("base64") };
  return value;
}

function fromJson(_key, value) {
  if (value && typeof value.long === "string") {
    const negative = value.long.startsWith("-");
    return Long.fromString(value.long, !negative);
  }
  if (value && typeof value.base64 === "string") return Buffer.from(value.base64, "base64");
  return value;
}

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  let answer;
  try {
    const request = JSON.parse(line, fromJson);
    answer =
      request.decode !== undefined
        ? codec.decodePayload(Buffer.from(request.decode, "base64"))
        : Buffer.from(codec.encodePayload(request.encode)).toString("base64");
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(JSON.stringify(answer, toJson) + "\n");
});
