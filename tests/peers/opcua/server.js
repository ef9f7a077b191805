// An OPC UA server of another make (node-opcua), told what to be by environment variables:
//   PORT, CONTROL  ports on 127.0.0.1: OPC UA, and HTTP to set and see values by other means
//   PKI            folder of its certificates; kept over restarts
//   CERT, KEY      its own certificate and key, where it is not to make them
//   AUTO           1 accepts any client certificate
//   MANY, PERIOD   that many changing nodes ns=..;s=Many.T0.., changed every PERIOD ms
//   LIMIT          most nodes in one request
//   SHIFT          that many namespaces registered before ours, so that ours has another index
//   OMIT           names of nodes to leave out, ',' between them
//   ALSO           names of further nodes with a Double, ',' between them
//   HISTORY        names of nodes that the server keeps the history of, ',' between them: "Many.T0"
//   ALARM          1 adds an alarm on Boiler1.PressureIn, high above 150, to be acknowledged
//   IGNITION       1 adds tags as an Ignition gateway exposes them: ns=2;s=[default]Boiler1/SteamFlow
//   OWN_TYPE       1 adds Boiler1.Mode, of a data type in the namespace of the boiler
//   RETYPE         1 makes Boiler1.Limit a String instead of an Int16
"use strict";
const fs = require("fs");
const http = require("http");
const path = require("path");
const { X509Certificate } = require("crypto");
const { createRequire } = require("module");
const modules = process.env.MODULES || __dirname;
const opcua = createRequire(path.join(modules, "index.js"))("node-opcua");
const {
  DataType, MessageSecurityMode, OPCUACertificateManager, OPCUAServer, SecurityPolicy, StatusCodes,
  Variant, VariantArrayType, WellKnownRoles, makeRoles, standardUnits,
} = opcua;

const env = process.env;
const USERS = { admin: "secure_password", viewer: "only_looking" };
const omitted = new Set((env.OMIT || "").split(","));
const nodes = {};
let variables; // adds one to Boiler1: name, data type, value

async function certificates(name, trusting) {
  const manager = new OPCUACertificateManager({
    rootFolder: path.join(env.PKI, name),
    automaticallyAcceptUnknownCertificate: trusting,
  });
  await manager.initialize();
  return manager;
}

async function build() {
  const server = new OPCUAServer({
    port: Number(env.PORT),
    hostname: env.HOST_NAME || "localhost",
    resourcePath: "/UA/Boiler",
    serverCertificateManager: await certificates("server", env.AUTO === "1"),
    userCertificateManager: await certificates("users", true),
    securityModes: [
      MessageSecurityMode.None, MessageSecurityMode.Sign, MessageSecurityMode.SignAndEncrypt,
    ],
    securityPolicies: [
      SecurityPolicy.None, SecurityPolicy.Basic256Sha256,
      SecurityPolicy.Aes128_Sha256_RsaOaep, SecurityPolicy.Aes256_Sha256_RsaPss,
    ],
    allowAnonymous: env.ANONYMOUS !== "0",
    maxConnectionsPerEndpoint: 100,
    serverCapabilities: {
      maxSessions: 100,
      ...(env.LIMIT ? { operationLimits: {
        maxNodesPerRead: Number(env.LIMIT), maxNodesPerWrite: Number(env.LIMIT),
        maxNodesPerBrowse: Number(env.LIMIT), maxMonitoredItemsPerCall: Number(env.LIMIT),
        maxNodesPerTranslateBrowsePathsToNodeIds: Number(env.LIMIT),
        maxNodesPerHistoryReadData: Number(env.LIMIT),
      } } : {}),
    },
    userManager: {
      isValidUser: (user, password) => USERS[user] === password,
      getUserRoles: (user) =>
        makeRoles(user === "viewer" ? [WellKnownRoles.Observer]
          : [WellKnownRoles.AuthenticatedUser, WellKnownRoles.ConfigureAdmin]),
    },
    buildInfo: { productName: "BoilerPeer" },
    ...(env.CERT ? { certificateFile: env.CERT, privateKeyFile: env.KEY } : {}),
    serverInfo: { applicationUri: env.APPLICATION_URI || "urn:gl002-test:node-opcua" },
  });
  await server.initialize();
  populate(server.engine.addressSpace);
  return server;
}

function populate(space) {
  for (let i = 0; i < Number(env.SHIFT || 0); i++) space.registerNamespace(`urn:other:${i}`);
  const ours = space.registerNamespace("urn:boiler");
  const boiler = ours.addObject({
    organizedBy: space.rootFolder.objects, browseName: "Boiler1", nodeId: "s=Boiler1",
  });
  const variable = (name, dataType, value, more = {}) => {
    if (omitted.has(name)) return;
    const node = ours.addVariable({
      componentOf: boiler, browseName: name, nodeId: `s=Boiler1.${name}`, dataType,
      minimumSamplingInterval: 20, ...more,
    });
    node.setValueFromSource({ dataType, value, ...("arrayType" in more ? { arrayType: more.arrayType } : {}) });
    nodes[`Boiler1.${name}`] = node;
  };
  variables = variable;
  const readOnly = { accessLevel: "CurrentRead", userAccessLevel: "CurrentRead" };
  variable("SteamFlow", DataType.Double, 50000, { ...readOnly, description: "steam to header" });
  variable("Temperature", DataType.Float, 485.5, readOnly);
  variable("Efficiency", DataType.Double, 85.4, readOnly);
  variable("FuelFlow", DataType.Double, 3500, readOnly);
  variable("SetPoint", DataType.Double, 480);
  variable("Limit", env.RETYPE === "1" ? DataType.String : DataType.Int16,
    env.RETYPE === "1" ? "high" : 700);
  variable("Running", DataType.Boolean, true);
  variable("Grade", DataType.Float, 1.5);
  variable("Name", DataType.String, "Kessel 1");
  variable("Starts", DataType.UInt32, 12);
  variable("Serial", DataType.Int64, [0, 12345], { arrayType: VariantArrayType.Scalar });
  variable("Profile", DataType.Double, [1, 2, 3], { valueRank: 1, arrayType: VariantArrayType.Array });
  if (env.OWN_TYPE === "1") {
    const mode = ours.createDataType({ browseName: "ModeType", subtypeOf: "Int16", isAbstract: false });
    variable("Mode", DataType.Int16, 3, { dataType: mode.nodeId });
  }
  for (const name of (env.ALSO || "").split(",").filter(Boolean)) variable(name, DataType.Double, 7);
  pressure(space, ours, boiler);
  many(space, ours);
  twins(space, ours);
  methods(ours, boiler);
  if (env.IGNITION === "1") ignition(space, ours);
  if (env.ALARM === "1") alarm(space, ours, boiler, variable);
  for (const name of (env.HISTORY || "").split(",").filter(Boolean)) remember(space, nodes[name]);
}

function methods(ours, boiler) {
  const argument = (name, dataType, valueRank = -1) => ({ name, dataType, valueRank });
  const start = ours.addMethod(boiler, {
    browseName: "Start", nodeId: "s=Boiler1.Start",
    inputArguments: [
      argument("load", DataType.Int16), argument("reason", DataType.String),
      argument("steps", DataType.Float, 1),
    ],
    outputArguments: [argument("answer", DataType.String), argument("sum", DataType.Double)],
  });
  start.bindMethod((input, context, callback) => {
    const [load, reason, steps] = input.map((each) => each.value);
    if (load > 100) { callback(null, { statusCode: StatusCodes.BadOutOfRange }); return; }
    const sum = steps.reduce((a, b) => a + b, 0);
    callback(null, { statusCode: StatusCodes.Good, outputArguments: [
      { dataType: DataType.String, value: `${reason}: ${load} (${DataType[input[0].dataType]})` },
      { dataType: DataType.Double, value: sum },
    ] });
  });
  const stop = ours.addMethod(boiler, { browseName: "Stop", nodeId: "s=Boiler1.Stop" });
  stop.bindMethod((input, context, callback) => callback(null, { statusCode: StatusCodes.Good }));
}

// Above 150 the alarm is active; POST {"event": "text"} to it raises a plain event as well.
function alarm(space, ours, boiler, variable) {
  boiler.setEventNotifier(1);
  space.rootFolder.objects.server.addReference({ referenceType: "HasEventSource", nodeId: boiler });
  variable("PressureIn", DataType.Double, 100);
  space.installAlarmsAndConditionsService();
  const made = ours.instantiateExclusiveLimitAlarm("ExclusiveLimitAlarmType", {
    browseName: "PressureAlarm", componentOf: boiler, conditionSource: boiler,
    inputNode: nodes["Boiler1.PressureIn"],
    highHighLimit: 200, highLimit: 150, lowLimit: 10, lowLowLimit: 5,
    optionals: ["ConfirmedState", "Confirm"], conditionName: "PressureAlarm",
  });
  made.sourceName.setValueFromSource({ dataType: DataType.String, value: "Boiler1" });
}

// Recorded from now on, whoever writes it. Its value has been as it is since yesterday: the server
// gives records back in the order they were made, whatever their times.
function remember(space, node) {
  const yesterday = new Date(Date.now() - 86400000);
  node.setValueFromSource(node.readValue().value, StatusCodes.Good, yesterday);
  space.installHistoricalDataNode(node, { maxOnlineValues: 20000 });
}

// Two nodes of one name, so that a name alone does not say which is meant.
function ignition(space, ours) {
  const folder = (owner, name, path) => ours.addObject({
    ...(owner ? { componentOf: owner } : { organizedBy: space.rootFolder.objects }),
    browseName: name, nodeId: `s=${path}`, typeDefinition: "FolderType",
  });
  const boiler = folder(folder(null, "default", "[default]"), "Boiler1", "[default]Boiler1");
  const tag = (name, dataType, value, more = {}) => {
    const text = `[default]Boiler1/${name}`;
    nodes[text] = ours.addVariable({
      componentOf: boiler, browseName: name, nodeId: `s=${text}`, dataType,
      minimumSamplingInterval: 20, ...more,
    });
    nodes[text].setValueFromSource({ dataType, value });
  };
  const readOnly = { accessLevel: "CurrentRead", userAccessLevel: "CurrentRead" };
  tag("SteamFlow", DataType.Double, 50000, readOnly);
  tag("Starts", DataType.Int32, 41, readOnly);
  tag("Running", DataType.Boolean, true, readOnly);
  tag("Note", DataType.String, "Kessel 1", readOnly);
  tag("SetPoint", DataType.Float, 1.5);
}

function twins(space, ours) {
  for (const side of ["Left", "Right"]) {
    const fan = ours.addObject({
      organizedBy: space.rootFolder.objects, browseName: `${side}Fan`, nodeId: `s=${side}Fan`,
    });
    ours.addVariable({
      componentOf: fan, browseName: "Speed", nodeId: `s=${side}Fan.Speed`, dataType: "Double",
    }).setValueFromSource({ dataType: DataType.Double, value: 1500 });
  }
}

function pressure(space, ours, boiler) {
  if (omitted.has("Pressure")) return;
  const node = ours.addAnalogDataItem({
    componentOf: boiler, browseName: "Pressure", nodeId: "s=Boiler1.Pressure", dataType: "Double",
    engineeringUnitsRange: { low: 0, high: 20 }, engineeringUnits: standardUnits.bar,
    minimumSamplingInterval: 20,
    accessLevel: "CurrentRead", userAccessLevel: "CurrentRead",
  });
  node.setValueFromSource({ dataType: DataType.Double, value: 12.5 });
  nodes["Boiler1.Pressure"] = node;
}

function many(space, ours) {
  const count = Number(env.MANY || 0);
  const folder = ours.addObject({
    organizedBy: space.rootFolder.objects, browseName: "Many", nodeId: "s=Many",
  });
  const changing = [];
  for (let i = 0; i < count; i++) {
    const node = ours.addVariable({
      componentOf: folder, browseName: `T${i}`, nodeId: `s=Many.T${i}`, dataType: "Double",
      minimumSamplingInterval: 0, // every change, where a client asks for it
    });
    node.setValueFromSource({ dataType: DataType.Double, value: 0 });
    nodes[`Many.T${i}`] = node;
    changing.push(node);
  }
  let tick = 0;
  if (count && env.PERIOD) setInterval(() => {
    tick += 1;
    for (const node of changing) node.setValueFromSource({ dataType: DataType.Double, value: tick });
  }, Number(env.PERIOD));
}

// GET /Boiler1.SetPoint gives {"value": ..., "type": ...}; POST {"value", "status", "time"} sets,
// a list of them one after the other. POST {"becomes": {"dataType", "value"}} puts another node in its
// place, {"becomes": {}} none.
// POST to /expire ends every session, as if its time were over; to /trust moves every certificate
// that was rejected to the trusted ones.
function control(server, request, response) {
  if (request.url === "/expire") {
    for (const session of server.engine.getSessions()) {
      server.engine.closeSession(session.authenticationToken, true, "Timeout");
    }
    response.end("{}");
    return;
  }
  if (request.url === "/trust") {
    trust(server.serverCertificateManager)
      .then(() => response.end("{}"), (error) => response.writeHead(500).end(String(error)));
    return;
  }
  const node = nodes[decodeURIComponent(request.url.slice(1))];
  let body = "";
  request.on("data", (chunk) => { body += chunk; });
  request.on("end", () => {
    if (!node) { response.writeHead(404).end(); return; }
    if (request.method === "POST") for (const one of [JSON.parse(body)].flat()) set(node, one);
    const now = nodes[decodeURIComponent(request.url.slice(1))];
    if (!now) { response.end("{}"); return; }
    const { value } = now.readValue();
    response.end(JSON.stringify({ value: value.value, type: DataType[value.dataType] }));
  });
}

// By its own call: of a file that somebody else moves before its watcher has read it, the server
// believes for ever that it lies among the rejected.
async function trust(manager) {
  for (const name of fs.readdirSync(manager.rejectedFolder)) {
    const file = path.join(manager.rejectedFolder, name);
    await manager.trustCertificate(new X509Certificate(fs.readFileSync(file)).raw);
  }
}

// As an online change of a controller does it: the node goes, and another one comes under its id.
function replace(node, { dataType, value }) {
  const name = node.browseName.name;
  delete nodes[`Boiler1.${name}`];
  node.addressSpace.deleteNode(node);
  if (dataType) variables(name, DataType[dataType], value);
}

function set(node, { value, status, time, event, becomes }) {
  if (becomes) {
    replace(node, becomes);
    return;
  }
  if (event) {
    node.addressSpace.rootFolder.objects.server.raiseEvent("BaseEventType", {
      sourceName: { dataType: DataType.String, value: "Burner" },
      message: { dataType: DataType.LocalizedText, value: { text: event } },
      severity: { dataType: DataType.UInt16, value: 300 },
    });
    return;
  }
  const dataType = node.readValue().value.dataType;
  node.setValueFromSource(
    new Variant({ dataType, value }), StatusCodes[status || "Good"], time ? new Date(time) : new Date(),
  );
}

build().then(async (server) => {
  http.createServer((request, response) => control(server, request, response)).listen(Number(env.CONTROL), "127.0.0.1");
  await server.start();
  console.log("ready", server.getEndpointUrl());
}).catch((error) => { console.error(error); process.exit(1); });
