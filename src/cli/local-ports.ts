import { rename, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { type LocalPlaces, placesPath, readPlaces } from './local-files.ts';

/** Where a local cluster listens unless the ports are taken. */
const PREFERRED: LocalPlaces = {
  masters: [
    { name: 'master-1', port: 19998, statusPort: 19987 },
    { name: 'master-2', port: 19999, statusPort: 19988 },
    { name: 'master-3', port: 20000, statusPort: 19989 },
  ],
  workers: [
    { name: 'worker-1', port: 29999, statusPort: 29987 },
    { name: 'worker-2', port: 30000, statusPort: 29988 },
  ],
};

/** The places of the last start, or the usual ones; a taken port is replaced by a free one. Remembers them. */
export async function choosePlaces(folder: string): Promise<LocalPlaces> {
  const wanted = readPlaces(folder) ?? PREFERRED;
  const used = new Set<number>();
  const choose = async (port: number): Promise<number> => {
    const found = used.has(port) ? await freePort(0) : await freePort(port);
    if (used.has(found)) return choose(0);
    used.add(found);
    return found;
  };
  const place = async ({ name, port, statusPort }: LocalPlaces['masters'][number]) => ({
    name,
    port: await choose(port),
    statusPort: await choose(statusPort),
  });
  const [masters, workers] = [[], []] as [LocalPlaces['masters'][number][], LocalPlaces['workers'][number][]];
  for (const master of wanted.masters) masters.push(await place(master));
  for (const worker of wanted.workers) workers.push(await place(worker));
  const chosen: LocalPlaces = { masters, workers };
  const path = placesPath(folder);
  await writeFile(`${path}.new`, `${JSON.stringify(chosen, undefined, 2)}\n`);
  await rename(`${path}.new`, path);
  return chosen;
}

/** `port` when it is free, else one that is. */
function freePort(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error) => (port === 0 ? reject(error) : resolve(freePort(0))));
    server.listen(port, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : port));
    });
  });
}
