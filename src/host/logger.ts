import pino from 'pino';
import type { LogLevel } from './log-level.ts';

/** Facts of one log line. */
export type LogFields = Readonly<Record<string, unknown>>;

/**
 * Writes JSON lines. The message is a constant lower-case sentence, what varies is a field. error: someone must act;
 * warn: we recovered; info: life cycle; debug: requests.
 */
export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  /** A logger that adds `fields` to each line. */
  child(fields: LogFields): Logger;
}

/** A logger to standard error; errors appear under `err` with stack and cause. */
export function createLogger(level: LogLevel, fields: LogFields): Logger {
  return pino(
    {
      level,
      base: fields,
      serializers: { err: pino.stdSerializers.errWithCause },
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    pino.destination({ dest: 2, sync: true }),
  );
}
