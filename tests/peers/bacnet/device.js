// A small old device on node-bacnet: one property at a time, no ReadPropertyMultiple, no reports of
// changes. Environment: PORT (UDP), CONTROL (TCP), MODULES (folder of node_modules).
'use strict';

const net = require('net');
const path = require('path');
const Bacnet = require(path.join(process.env.MODULES, 'node_modules', 'node-bacnet'));
const { ApplicationTag: T } = Bacnet.enum;

const DEVICE = 2002;
const services = Array(40).fill(false);
services[12] = services[15] = true; // ReadProperty, WriteProperty
const bits = (flags) => ({
  bitsUsed: flags.length,
  value: flags.reduce((all, flag, i) => {
    if (flag) all[i >> 3] |= 1 << (i & 7); // node-bacnet turns each octet around
    return all;
  }, Array(Math.ceil(flags.length / 8)).fill(0)),
});

const objects = new Map(); // 'type,instance' -> property -> {type, value} or list of them
const put = (object, property, type, value) => {
  if (!objects.has(object)) objects.set(object, new Map());
  objects.get(object).set(property, [{ type, value }]);
};
const list = ['8,' + DEVICE, '0,1', '2,1', '3,1'];
put('8,' + DEVICE, 75, T.OBJECTIDENTIFIER, { type: 8, instance: DEVICE });
put('8,' + DEVICE, 77, T.CHARACTER_STRING, 'Old boiler');
put('8,' + DEVICE, 121, T.CHARACTER_STRING, 'Maker');
put('8,' + DEVICE, 70, T.CHARACTER_STRING, 'B-1');
put('8,' + DEVICE, 62, T.UNSIGNED_INTEGER, 480);
put('8,' + DEVICE, 107, T.ENUMERATED, 3);
put('8,' + DEVICE, 97, T.BIT_STRING, bits(services));
put('8,' + DEVICE, 112, T.ENUMERATED, 0);
put('8,' + DEVICE, 76, T.OBJECTIDENTIFIER, null);
objects.get('8,' + DEVICE).set(76, list.map((text) => {
  const [type, instance] = text.split(',').map(Number);
  return { type: T.OBJECTIDENTIFIER, value: { type, instance } };
}));
put('0,1', 85, T.REAL, 88.25);
put('0,1', 77, T.CHARACTER_STRING, 'water temperature');
put('0,1', 117, T.ENUMERATED, 62);
put('2,1', 85, T.REAL, 10.5);
put('2,1', 77, T.CHARACTER_STRING, 'setpoint');
put('3,1', 85, T.ENUMERATED, 1);
put('3,1', 77, T.CHARACTER_STRING, 'pump');

const device = new Bacnet({
  port: Number(process.env.PORT), interface: '127.0.0.1', broadcastAddress: '127.255.255.255',
});
device.on('error', () => {});
const written = [];

const key = (id) => `${id.type},${id.type === 8 && id.instance === 4194303 ? DEVICE : id.instance}`;

device.on('readProperty', ({ header, invokeId, service, payload }) => {
  const object = objects.get(key(payload.objectId));
  const values = object && object.get(payload.property.id);
  const to = header.sender;
  if (!values) {
    device.errorResponse(to, 12, invokeId, object ? 2 : 1, object ? 32 : 31);
    return;
  }
  const [type, instance] = key(payload.objectId).split(',').map(Number);
  device.readPropertyResponse(to, invokeId, { type, instance }, payload.property, values);
});

device.on('writeProperty', ({ header, invokeId, payload }) => {
  const object = objects.get(key(payload.objectId));
  const { property, value, priority } = payload.value;
  if (!object || !object.has(property.id)) {
    device.errorResponse(header.sender, 15, invokeId, object ? 2 : 1, object ? 32 : 31);
    return;
  }
  written.push({ object: key(payload.objectId), type: value[0].type, value: value[0].value, priority });
  if (value[0].type !== T.NULL) object.set(property.id, value);
  device.simpleAckResponse(header.sender, 15, invokeId);
});

device.on('whoIs', ({ header, payload }) => {
  const { lowLimit, highLimit } = payload;
  if (lowLimit === undefined || (lowLimit <= DEVICE && DEVICE <= highLimit)) {
    device.iAmResponse(header.sender, DEVICE, 3, 999);
  }
});

device.on('listening', () => {
  net.createServer((link) => {
    let line = '';
    link.on('error', () => {});
    link.on('data', (data) => {
      line += data;
      if (!line.endsWith('\n')) return;
      const [what, object, property, value] = JSON.parse(line);
      line = '';
      let said = null;
      if (what === 'set') objects.get(object).get(property)[0].value = value;
      if (what === 'get') said = objects.get(object).get(property)[0].value;
      if (what === 'written') said = written.splice(0);
      link.end(JSON.stringify({ ok: said }) + '\n');
    });
  }).listen(Number(process.env.CONTROL), '127.0.0.1');
});
