// ORNL's MEASUR beside our balance: reads JSON lines {oxygen (fraction), stack, air (degF), repeat},
// writes {available (share of HHV), excessAir, seconds of the processor} for each. The package is built for browsers and carries
// its WebAssembly; in Node it needs to be told that it is in one.
const fs = require("fs");
const path = require("path");
const readline = require("readline");

globalThis.window = globalThis;
globalThis.Deno = {};
Object.defineProperty(process, "type", { value: "renderer" });

const bin = path.dirname(require.resolve("measur-tools-suite"));
const wasm = fs.readFileSync(path.join(bin, "client.wasm"));
const made = require("measur-tools-suite");
const factory = typeof made === "function" ? made : made.default || Object.values(made)[0];

// "typical US" natural gas, percent by volume
const GAS = { CH4: 87, C2H6: 8.5, N2: 3.6, H2: 0.4, C3H8: 0, C4H10_CnH2n: 0, H2O: 0, CO: 0, CO2: 0.4, SO2: 0, O2: 0.1 };

function answer(suite, gas, request) {
  const { oxygen, stack, air, repeat = 1 } = request;
  const start = process.cpuUsage();
  let found;
  for (let i = 0; i < repeat; i++) {
    found = suite.gasFlueGasMaterialProcessHeatProperties(gas, stack, oxygen, air, air, air, 0, 0);
  }
  const used = process.cpuUsage(start);
  const seconds = (used.user + used.system) / 1e6;
  return { available: found.availableHeat, excessAir: found.excessAir, seconds };
}

factory({
  instantiateWasm: (imports, done) => {
    WebAssembly.instantiate(wasm, imports).then((result) => done(result.instance, result.module));
    return {};
  },
}).then((suite) => {
  const gas = new suite.GasCompositions("typical US", ...Object.values(GAS));
  readline.createInterface({ input: process.stdin }).on("line", (line) => {
    process.stdout.write(JSON.stringify(answer(suite, gas, JSON.parse(line))) + "\n");
  });
});
