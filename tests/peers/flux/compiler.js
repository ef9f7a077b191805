// InfluxData's own compiler of Flux (libflux), asked line by line on standard input.
//   {"script": text}  ->  {"imports": [...], "body": [statements]}  as it is parsed
//   {"check": text}   ->  {"valid": bool}                           its types, too; nothing runs
//   {"ast": file}     ->  {"script": text}                          as the compiler writes it
const { Flux, is_valid_flux } = require("@influxdata/flux-lsp-node");

const plain = (node) => {
  if (Array.isArray(node)) return node.map(plain);
  if (node === null || typeof node !== "object") return node;
  return Object.fromEntries(
    Object.entries(node)
      .filter(([name]) => name !== "location" && name !== "comments")
      .map(([name, value]) => [name, plain(value)])
  );
};

const answer = ({ script, check, ast }) => {
  if (check !== undefined) return { valid: is_valid_flux(check) };
  if (ast !== undefined) {
    return { script: Flux.from_ast({ type: "Package", package: "main", files: [ast] }).format() };
  }
  const [file] = new Flux(script).ast().files;
  return { imports: plain(file.imports), body: plain(file.body) };
};

require("readline")
  .createInterface({ input: process.stdin })
  .on("line", (line) => {
    let reply;
    try {
      reply = answer(JSON.parse(line));
    } catch (error) {
      reply = { error: String(error) };
    }
    process.stdout.write(JSON.stringify(reply) + "\n");
  });
