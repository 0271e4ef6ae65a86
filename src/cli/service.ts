import type { Logger } from '../host/logger.ts';
import type { Metrics } from '../host/metrics.ts';
import type { Closeable } from '../host/scope.ts';
import { ERROR_TABLE, type SluiceError } from '../model/errors.ts';
import type { CommandContext } from './context.ts';
import { cliOptions } from './options.ts';

/** What a long-running process has from its command. */
export interface ServiceParts {
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Ends the process, once it has said why. */
  fail(error: SluiceError): void;
}

/**
 * Runs a service until Ctrl-C, SIGTERM or a failure of its own, and closes it in order.
 * @returns the exit code: 0, or that of the failure.
 */
export async function runService(
  context: CommandContext,
  name: string,
  start: (parts: ServiceParts) => Promise<Closeable>,
): Promise<number> {
  const [{ createLogger }, { Metrics }] = await Promise.all([
    import('../host/logger.ts'),
    import('../host/metrics.ts'),
  ]);
  const { logLevel } = context.config().values(cliOptions);
  const logger = createLogger(logLevel, { service: name });
  const metrics = new Metrics();
  metrics.collectProcess();
  let fail: (error: SluiceError) => void = () => undefined;
  const failure = new Promise<SluiceError>((resolve) => {
    fail = resolve;
  });
  let service: Closeable;
  try {
    service = await start({ logger, metrics, fail });
  } catch (thrown) {
    if (!context.signal.aborted) throw thrown;
    logger.info({}, 'the process stops before it has started');
    return 0;
  }
  const failed = await Promise.race([failure, aborted(context.signal)]);
  if (failed !== undefined) logger.error({ err: failed }, 'the process ends because it cannot go on');
  logger.info({}, 'the process stops');
  if (failed === undefined) {
    await service.close();
    return 0;
  }
  // What cannot be closed after a failure, e.g. on a full disk, is told but is not the reason.
  await service.close().catch((err: unknown) => logger.error({ err }, 'the process did not close in order'));
  return ERROR_TABLE[failed.code].exit;
}

/** Resolves when the signal is aborted. */
function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
}
