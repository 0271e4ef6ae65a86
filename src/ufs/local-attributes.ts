import { chmod, chown, type FileHandle, stat, utimes } from 'node:fs/promises';
import type { AccountNames } from './local-accounts.ts';
import { errnoOf } from './local-errors.ts';
import type { UfsAttributes } from './ufs.ts';

/** Half a microsecond: seconds as a double would otherwise fall below their millisecond. */
const NUDGE_MS = 0.0005;

/** What can be changed, by an open file or by a path. */
type Changeable = Pick<FileHandle, 'chmod' | 'chown' | 'utimes'> & {
  stat(): Promise<{ readonly uid: number; readonly gid: number; readonly atimeMs: number }>;
};

/** What is at a real path, as something to be changed; no right to read it is needed. */
export function changeableAt(absolute: string): Changeable {
  return {
    stat: () => stat(absolute),
    chmod: (mode) => chmod(absolute, mode),
    chown: (uid, gid) => chown(absolute, uid, gid),
    utimes: (accessed, modified) => utimes(absolute, accessed, modified),
  };
}

/**
 * Sets what this process can: rights and time of its own files, owner and group only as root and only where this host
 * knows them. The rest is left to the namespace.
 */
export async function setLocalAttributes(
  thing: Changeable,
  attributes: UfsAttributes,
  accounts: AccountNames,
): Promise<void> {
  // Before chmod: a change of owner clears the setuid bits.
  await changeOwner(thing, attributes, accounts);
  if (attributes.mode !== undefined) await thing.chmod(attributes.mode & 0o7777);
  if (attributes.modifiedMs !== undefined) {
    const { atimeMs } = await thing.stat();
    await thing.utimes((atimeMs + NUDGE_MS) / 1000, (attributes.modifiedMs + NUDGE_MS) / 1000);
  }
}

async function changeOwner(thing: Changeable, attributes: UfsAttributes, accounts: AccountNames): Promise<void> {
  if (process.getuid?.() !== 0) return;
  const uid = attributes.owner === undefined ? undefined : accounts.uid(attributes.owner);
  const gid = attributes.group === undefined ? undefined : accounts.gid(attributes.group);
  if (uid === undefined && gid === undefined) return;
  const stats = await thing.stat();
  try {
    await thing.chown(uid ?? stats.uid, gid ?? stats.gid);
  } catch (thrown) {
    // Root in a container, or on NFS with root_squash, may not: the namespace keeps the owner.
    if (errnoOf(thrown) !== 'EPERM') throw thrown;
  }
}
