/**
 * Sluice's client: `FileSystem` and what it gives and takes.
 *
 * @example
 * import { FileSystem } from 'sluice';
 *
 * const files = await FileSystem.connect();
 * console.log(await files.exists('/'));
 * await files.close();
 */
export type { LogFields, Logger } from '../host/logger.ts';
export type { ErrorCode, ErrorDetails } from '../model/errors.ts';
export { SluiceError } from '../model/errors.ts';
export type { Persistence, TtlAction, WriteType } from '../model/inode.ts';
export type { MountInfo } from '../model/operations.ts';
export type { FileStatus } from '../model/status.ts';
export type { WorkerList, WorkerStatus } from '../model/worker.ts';
export type { FileReader, StreamRange } from './file-reader.ts';
export {
  type AttributeChanges,
  type ConnectOptions,
  type CreateOptions,
  FileSystem,
  type ListOptions,
  type MountOptions,
  type StatOptions,
} from './file-system.ts';
export type { FileWriter } from './file-writer.ts';
