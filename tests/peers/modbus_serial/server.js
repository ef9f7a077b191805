// A Modbus TCP server on modbus-serial, steered by a test as libmodbus_server is.
//
//   server.js PORT CONTROL_PORT     units 1 to 32, 5000 of everything; beyond it answers 02
"use strict";
const net = require("net");
const { ServerTCP } = require("modbus-serial");

const SIZE = 5000;
const NAMES = ["coil", "discrete", "holding", "input"];
const units = new Map();

function clear() {
    for (let unit = 1; unit <= 32; unit++)
        units.set(unit, Object.fromEntries(NAMES.map((name) => [name, new Array(SIZE).fill(0)])));
}

function place(unit, table, address) {
    if (address >= SIZE || !units.has(unit)) throw Object.assign(new Error("02"), { modbusErrorCode: 2 });
    return units.get(unit)[table];
}

const reader = (table) => (address, unit) => place(unit, table, address)[address];
const writer = (table) => (address, value, unit) => { place(unit, table, address)[address] = Number(value); };

function command(words) {
    const [verb, unit, table, address, ...rest] = words;
    if (verb === "clear") return clear();
    const values = units.get(Number(unit))[table];
    const start = Number(address);
    if (verb === "get") return values.slice(start, start + Number(rest[0])).map(Number).join(" ");
    rest.forEach((value, i) => { values[start + i] = Number(value); });
}

clear();
const [port, control] = process.argv.slice(2).map(Number);
new ServerTCP({
    getCoil: reader("coil"), getDiscreteInput: reader("discrete"),
    getHoldingRegister: reader("holding"), getInputRegister: reader("input"),
    setCoil: writer("coil"), setRegister: writer("holding"),
}, { host: "127.0.0.1", port, unitID: 255 }).on("socketError", () => {});
net.createServer((socket) => {
    socket.once("data", (data) => {
        const answer = command(data.toString().trim().split(" "));
        socket.end(`ok ${answer ?? ""}\n`);
    });
}).listen(control, "127.0.0.1");
