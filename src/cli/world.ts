import type { Writable } from 'node:stream';
import type { FileSystem } from '../client/file-system.ts';
import type { ClientSettings } from '../client/settings.ts';

/** Where text goes; a terminal also says how wide it is. */
export interface TextStream extends Writable {
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** What a command line sees of the process that runs it, so that tests can run it in theirs. */
export interface World {
  readonly stdout: TextStream;
  readonly stderr: TextStream;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Folder that relative paths, `sluice.yaml` and `.sluice` are looked for in. */
  readonly folder: string;
  /** Aborted by Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal;
  /** Reaches a cluster; the client's own way when absent. */
  connect?(settings: ClientSettings, token: string): Promise<FileSystem>;
}
