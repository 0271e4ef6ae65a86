import { once } from 'node:events';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { TcpProxy } from '../support/tcp-proxy.ts';

let server: Server;
let proxy: TcpProxy;
let accepted: Socket[];
const clients: Socket[] = [];

beforeEach(async () => {
  accepted = [];
  server = createServer((socket) => {
    socket.on('error', () => undefined);
    accepted.push(socket);
    server.emit('taken', socket);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  proxy = await TcpProxy.start(`127.0.0.1:${(server.address() as { port: number }).port}`);
});

afterEach(async () => {
  for (const socket of [...clients.splice(0), ...accepted]) socket.destroy();
  await proxy.close();
  server.close();
});

/** A client of the proxy and the server's end of its connection. */
async function connected(): Promise<{ client: Socket; peer: Socket }> {
  const taken = once(server, 'taken') as Promise<[Socket]>;
  const client = dial();
  const [peer] = await taken;
  return { client, peer };
}

function dial(): Socket {
  const client = createConnection(Number(proxy.address.split(':')[1]), '127.0.0.1');
  client.on('error', () => undefined);
  clients.push(client);
  return client;
}

/** The next bytes that arrive, as soon as there are as many as `expected` has. */
async function received(socket: Socket, expected: string): Promise<string> {
  let text = '';
  while (text.length < expected.length) {
    const [bytes] = (await once(socket, 'data')) as [Buffer];
    text += bytes.toString('utf8');
  }
  return text;
}

/** The code of the error that ends a connection. */
async function fate(socket: Socket): Promise<string> {
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
  return error.code ?? '';
}

test('bytes, and the end of a stream, pass both ways', async () => {
  const { client, peer } = await connected();
  client.write('ping');
  expect(await received(peer, 'ping')).toBe('ping');
  peer.end('pong');
  expect(await received(client, 'pong')).toBe('pong');
  await once(client, 'end');
});

test('a cut link resets what is open and what is dialed, until it is healed', async () => {
  const { client } = await connected();
  const broken = fate(client);
  proxy.cut();
  expect(await broken).toBe('ECONNRESET');
  expect(await fate(dial())).toBe('ECONNRESET');
  expect(proxy.connections).toBe(0);
  proxy.heal();
  const { client: again, peer } = await connected();
  again.write('ping');
  expect(await received(peer, 'ping')).toBe('ping');
});

test('held bytes of one direction arrive later; the other direction passes meanwhile', async () => {
  const { client, peer } = await connected();
  proxy.setFlow('forward', { passage: 'hold' });
  let early = '';
  const early$ = (bytes: Buffer) => {
    early += bytes.toString('utf8');
  };
  peer.on('data', early$);
  client.write('late');
  peer.write('pass');
  expect(await received(client, 'pass')).toBe('pass');
  expect(early).toBe('');
  peer.off('data', early$);
  proxy.heal();
  expect(await received(peer, 'late')).toBe('late');
});

test('swallowed bytes are lost, and the connection does not outlive that', async () => {
  const { client, peer } = await connected();
  proxy.setFlow('backward', { passage: 'swallow' });
  let seen = '';
  client.on('data', (bytes: Buffer) => {
    seen += bytes.toString('utf8');
  });
  peer.write('lost');
  client.write('ping');
  expect(await received(peer, 'ping')).toBe('ping');
  const broken = fate(client);
  proxy.heal();
  expect(await broken).toBe('ECONNRESET');
  expect(seen).toBe('');
});

test('who dials through a link that does not pass reaches nobody, and hears of it when it passes', async () => {
  proxy.setFlow('forward', { passage: 'swallow' });
  const client = dial();
  await once(client, 'connect');
  client.write('lost');
  const broken = fate(client);
  proxy.heal();
  expect(await broken).toBe('ECONNRESET');
  expect(accepted).toEqual([]);
});

test('a delay and a limited rate change the time of arrival only', async () => {
  const { client, peer } = await connected();
  proxy.setFlow('forward', { delayMs: 5, bytesPerSecond: 100_000 });
  const text = 'abcdefghij'.repeat(500);
  for (let at = 0; at < text.length; at += 100) client.write(text.slice(at, at + 100));
  expect(await received(peer, text)).toBe(text);
});
