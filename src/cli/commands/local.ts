import { relative, resolve } from 'node:path';
import { nodeTimers } from '../../host/node-timers.ts';
import { systemClock } from '../../host/system-clock.ts';
import type { CommandSpec } from '../command-spec.ts';
import type { GlobalFlags } from '../configuration.ts';
import type { CommandContext } from '../context.ts';
import type { LocalCluster } from '../local-cluster.ts';
import { LOCAL_FOLDER } from '../local-files.ts';

interface LocalOptions extends GlobalFlags {
  readonly folder?: string;
}

/** `sluice local`. */
export const localCommand: CommandSpec<LocalOptions> = {
  name: 'local',
  summary: 'run three masters and two workers on this machine until Ctrl-C',
  options: [['--folder <path>', `where data, logs and ports are kept, ./${LOCAL_FOLDER} by default`]],
  examples: ['sluice local', 'sluice local --folder /tmp/sluice --set worker.cache.capacity=1GiB'],
  async run(context, _, options) {
    context.config();
    const { LocalCluster } = await import('../local-cluster.ts');
    const { world, json, out, err, signal } = context;
    const folder = resolve(world.folder, options.folder ?? LOCAL_FOLDER);
    if (!json) await out.lines([`starting 3 masters and 2 workers in ${folder}`]);
    const cluster = await LocalCluster.start({
      folder,
      arguments: passedOn(options, world.folder),
      clock: systemClock,
      timers: nodeTimers,
      onEvent: (message) => void err.lines([`sluice: ${message}`]),
    });
    try {
      await cluster.waitUntilReady(signal);
      await announce(context, cluster, options.folder !== undefined);
      await new Promise<void>((stopped) => {
        if (signal.aborted) stopped();
        signal.addEventListener('abort', () => stopped(), { once: true });
      });
      // The signal that ends the cluster must not keep back what is said of it.
      if (!json) world.stdout.write('stopping\n');
    } finally {
      await cluster.close();
    }
    return 0;
  },
};

/** Settings of the command line that hold for the processes too. */
function passedOn({ config, set = [] }: GlobalFlags, folder: string): string[] {
  const file = config === undefined ? [] : ['--config', resolve(folder, config)];
  return [...file, ...set.flatMap((pair) => ['--set', pair])];
}

async function announce(
  { out, json, world }: CommandContext,
  cluster: LocalCluster,
  elsewhere: boolean,
): Promise<void> {
  const { places, addresses, storage, logs } = cluster;
  const url = (port: number) => `http://127.0.0.1:${port}`;
  if (json) return out.json({ event: 'ready', masters: addresses, workers: places.workers, storage, logs });
  const program = `node ${relative(world.folder, process.argv[1] ?? 'sluice')}`;
  const sluice = elsewhere ? `${program} --master ${addresses.join(',')}` : program;
  await out.lines([
    '',
    ...places.masters.map(
      ({ name, port, statusPort }) =>
        `  ${name}  127.0.0.1:${port}  ${url(statusPort)}/readyz  ${url(statusPort)}/metrics`,
    ),
    ...places.workers.map(
      ({ name, port, statusPort }) =>
        `  ${name}  127.0.0.1:${port}  ${url(statusPort)}/readyz  ${url(statusPort)}/metrics`,
    ),
    '',
    `  ${storage} is mounted at /`,
    `  logs are in ${logs}`,
    '',
    'try, in another terminal:',
    '',
    `  ${sluice} fs ls -l /`,
    `  ${sluice} fs cp file://package.json /hello.json`,
    `  ${sluice} admin report`,
    '',
    'Ctrl-C stops it; the data stays for the next start.',
  ]);
}
