import { choice, integer } from '../host/config/option.ts';
import { LOG_LEVELS } from '../host/log-level.ts';

/** What is decided where a process is put together. */
export const cliOptions = Object.freeze({
  logLevel: choice(
    { key: 'log.level', doc: 'The least serious lines that masters and workers log', fallback: 'info' },
    LOG_LEVELS,
  ),
  workerStatusPort: integer(
    { key: 'worker.status.port', doc: 'Port for /metrics, /healthz and /readyz of a worker', fallback: '29998' },
    { max: 65_535 },
  ),
});
