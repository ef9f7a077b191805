// A WebSocket server that carries MQTT to a TCP port: 'ws' frames, this joins both ends.
// PORT, TARGET (on 127.0.0.1), WS_PATH, PING (ms), and CERT, KEY (PEM files) for TLS.
'use strict';
const fs = require('fs');
const net = require('net');
const http = require('http');
const https = require('https');
const { WebSocketServer, createWebSocketStream } = require(`${process.env.MODULES}/node_modules/ws`);

const { PORT, TARGET, WS_PATH, CERT, KEY, PING } = process.env;
const server = CERT
  ? https.createServer({ cert: fs.readFileSync(CERT), key: fs.readFileSync(KEY) })
  : http.createServer();
const sockets = new WebSocketServer({
  server,
  path: WS_PATH,
  handleProtocols: (offered) => (offered.has('mqtt') ? 'mqtt' : false),
});
sockets.on('connection', (socket) => {
  const inner = net.connect(Number(TARGET), '127.0.0.1');
  const outer = createWebSocketStream(socket);
  const end = () => { inner.destroy(); socket.terminate(); };
  outer.on('error', end).on('close', end);
  inner.on('error', end).on('close', end);
  outer.pipe(inner).pipe(outer);
  const pinging = setInterval(() => socket.ping(), Number(PING));
  socket.on('pong', () => { server.pongs = (server.pongs || 0) + 1; });
  socket.on('close', () => { clearInterval(pinging); console.log(`pongs ${server.pongs || 0}`); });
});
server.listen(Number(PORT), '127.0.0.1');
