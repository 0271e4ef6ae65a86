import type { BigIntStats } from 'node:fs';
import type { UfsFact } from '../model/command.ts';
import type { AccountNames } from './local-accounts.ts';

/**
 * Changes whenever a file's content does: modification time to the nanosecond, length and inode number. The inode
 * number tells a file that was replaced by one of equal time and length (`cp -p`, `rsync -t`). What it cannot tell: a
 * change in place of equal length within one tick of the file system's clock (1 to 4 ms on Linux), or one whose time
 * was set back.
 */
export function localVersion(stats: BigIntStats): string {
  return `${stats.mtimeNs.toString(36)}-${stats.size.toString(36)}-${stats.ino.toString(36)}`;
}

/** What `stats` says of a file or directory called `name`; undefined for sockets, devices and pipes. */
export function localFact(name: string, stats: BigIntStats, accounts: AccountNames): UfsFact | undefined {
  const isFile = stats.isFile();
  if (!isFile && !stats.isDirectory()) return undefined;
  return {
    name,
    kind: isFile ? 'file' : 'directory',
    lengthBytes: isFile ? Number(stats.size) : 0,
    version: isFile ? localVersion(stats) : '',
    modifiedMs: Number(stats.mtimeNs / 1_000_000n),
    owner: accounts.user(Number(stats.uid)),
    group: accounts.group(Number(stats.gid)),
    mode: Number(stats.mode & 0o7777n),
  };
}
