import { setFlagsFromString } from 'node:v8';
import { nodeTimers } from '../../host/node-timers.ts';
import { systemClock } from '../../host/system-clock.ts';
import { journalOptions, quorumOptions, serviceOptions } from '../../master/options.ts';
import { securityOptions } from '../../wire/options.ts';
import type { CommandSpec } from '../command-spec.ts';
import { runService } from '../service.ts';
import { programVersion } from '../version.ts';

/** `sluice master`. */
export const masterCommand: CommandSpec = {
  name: 'master',
  summary: 'run one master until it is stopped',
  examples: ['sluice master --set master.name=m1 --set master.peers=m1=h1:19998,m2=h2:19998,m3=h3:19998'],
  async run(context) {
    const config = context.config();
    // Else a takeover compiles what only leaders run, while everybody waits for it: V8 does so when a function is first
    // called, and again when it was not called for long.
    setFlagsFromString('--no-lazy');
    setFlagsFromString('--no-flush-bytecode');
    const [{ Master }, { openUfs }] = await Promise.all([
      import('../../master/master.ts'),
      import('../../ufs/open-ufs.ts'),
    ]);
    return runService(context, 'master', ({ logger, metrics, fail }) =>
      Master.start({
        quorum: config.values(quorumOptions),
        journal: config.values(journalOptions),
        service: config.values(serviceOptions),
        token: config.values(securityOptions).token,
        version: programVersion(),
        openUfs: (uri, options) => openUfs(uri, options, logger),
        clock: systemClock,
        timers: nodeTimers,
        random: { next: () => Math.random() },
        logger,
        metrics,
        signal: context.signal,
        onFatal: fail,
      }),
    );
  },
};
