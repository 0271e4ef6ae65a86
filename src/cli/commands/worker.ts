import { nodeTimers } from '../../host/node-timers.ts';
import { opening, type Scope } from '../../host/scope.ts';
import type { Readiness } from '../../host/status-server.ts';
import { systemClock } from '../../host/system-clock.ts';
import { securityOptions } from '../../wire/options.ts';
import { workerOptions } from '../../worker/options.ts';
import type { Worker } from '../../worker/worker.ts';
import type { CommandSpec } from '../command-spec.ts';
import type { CommandContext } from '../context.ts';
import { cliOptions } from '../options.ts';
import { runService, type ServiceParts } from '../service.ts';

/** `sluice worker`. */
export const workerCommand: CommandSpec = {
  name: 'worker',
  summary: 'run one worker until it is stopped',
  examples: ['sluice worker --set worker.masters=h1:19998,h2:19998,h3:19998 --set worker.cache.capacity=500GiB'],
  run: (context) =>
    runService(context, 'worker', (parts) =>
      opening(async (scope) => {
        await start(context, parts, scope);
        return scope;
      }),
    ),
};

async function start(context: CommandContext, { logger, metrics }: ServiceParts, scope: Scope): Promise<void> {
  const config = context.config();
  const [{ clientSettings, isDefault }, { Worker }, { openUfs }, { StatusServer }] = await Promise.all([
    import('../configuration.ts'),
    import('../../worker/worker.ts'),
    import('../../ufs/open-ufs.ts'),
    import('../../host/status-server.ts'),
  ]);
  const own = config.values(workerOptions);
  // A worker looks for the masters where clients do, unless it is told otherwise.
  const masters = isDefault(config, workerOptions.masters.key)
    ? clientSettings(context.world, config).masters
    : own.masters;
  const options = { ...own, masters };
  const { token } = config.values(securityOptions);
  const worker = scope.own(
    'worker',
    await Worker.start({
      options,
      token,
      openUfs: (mount) => openUfs(mount.uri, mount.options, logger),
      clock: systemClock,
      timers: nodeTimers,
      random: { next: () => Math.random() },
      logger,
      metrics,
    }),
  );
  const { workerStatusPort: port } = config.values(cliOptions);
  const readiness = () => readinessOf(worker);
  scope.own('status server', await StatusServer.open({ host: options.host, port, token, metrics, readiness }));
}

function readinessOf(worker: Worker): Readiness {
  if (worker.registered) return { ready: true };
  const { refusal } = worker;
  return { ready: false, reason: `No leader knows this worker yet${refusal === '' ? '' : `: ${refusal}`}` };
}
