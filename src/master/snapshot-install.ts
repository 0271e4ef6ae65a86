import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { systemFiles } from '../host/file-operations.ts';
import { SluiceError } from '../model/errors.ts';
import type { LogStore } from '../raft/log-store.ts';
import type { Position } from '../raft/position.ts';

/** What is to be done, and was begun. */
interface Order {
  readonly position: Position;
  /** The log goes on from there: it stays. */
  readonly keepLog: boolean;
}

/** Says that an install is under way. */
const MARKER = 'install.json';
/** The new state, complete and closed, until it takes the place of the old one. */
export const INCOMING_FOLDER = 'state.incoming';
const STATE_FOLDER = 'state';
const OLD_FOLDER = 'state.old';

/**
 * Puts a received state, complete in `state.incoming`, into the place of the old one, which is closed, and lets the log
 * begin behind it. Yields the name of each step once it is durable: whenever the process ends, either nothing has
 * happened, or `resumeInstall` does the rest.
 */
export async function* installState(folder: string, order: Order, log: LogStore): AsyncGenerator<string> {
  await writeMarker(folder, order);
  yield 'marked';
  yield* finish(folder, order, log);
}

/**
 * Finishes an install that a crash interrupted, before anybody opens the state or the log of the data folder.
 * @param newLog makes a store for the log, which is opened and closed for this
 * @returns whether there was one. @throws SluiceError as the log; CORRUPT when the note of it cannot be read
 */
export async function resumeInstall(folder: string, newLog: () => LogStore): Promise<boolean> {
  const order = await readMarker(folder);
  if (order === undefined) {
    await rm(join(folder, OLD_FOLDER), { recursive: true, force: true });
    return false;
  }
  const log = newLog();
  await log.open();
  try {
    for await (const _ of finish(folder, order, log));
  } finally {
    await log.close();
  }
  return true;
}

async function* finish(folder: string, { position, keepLog }: Order, log: LogStore): AsyncGenerator<string> {
  const names = await systemFiles.list(folder);
  if (names.includes(INCOMING_FOLDER)) {
    if (names.includes(STATE_FOLDER)) {
      await rm(join(folder, OLD_FOLDER), { recursive: true, force: true });
      await systemFiles.rename(join(folder, STATE_FOLDER), join(folder, OLD_FOLDER));
      await systemFiles.syncFolder(folder);
      yield 'old state moved away';
    }
    await systemFiles.rename(join(folder, INCOMING_FOLDER), join(folder, STATE_FOLDER));
    await systemFiles.syncFolder(folder);
    yield 'new state in place';
  }
  // Nothing is written to the log before all of this is done: to reset it twice does no harm.
  if (!keepLog) {
    await log.reset(position);
    yield 'log reset';
  }
  await systemFiles.remove(join(folder, MARKER));
  await systemFiles.syncFolder(folder);
  yield 'done';
  await rm(join(folder, OLD_FOLDER), { recursive: true, force: true });
}

async function writeMarker(folder: string, order: Order): Promise<void> {
  const temporary = join(folder, `${MARKER}.new`);
  const bytes = Buffer.from(`${JSON.stringify(order)}\n`);
  await rm(temporary, { force: true });
  const file = await systemFiles.open(temporary, 'create');
  try {
    await file.write(bytes, 0);
    await file.sync();
  } finally {
    await file.close();
  }
  await systemFiles.rename(temporary, join(folder, MARKER));
  await systemFiles.syncFolder(folder);
}

/** The install that was interrupted in a data folder; undefined when there is none. @throws SluiceError CORRUPT */
export async function readMarker(folder: string): Promise<Order | undefined> {
  let text: string;
  try {
    text = await readFile(join(folder, MARKER), 'utf8');
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw SluiceError.from(thrown, 'PERMISSION_DENIED', `${join(folder, MARKER)} cannot be read`);
  }
  try {
    const { position, keepLog } = JSON.parse(text) as Partial<Order>;
    const { term, index } = position ?? {};
    if (Number.isSafeInteger(term) && Number.isSafeInteger(index) && typeof keepLog === 'boolean')
      return { position: position as Position, keepLog };
  } catch {
    // Not JSON: reported below like any other damage.
  }
  throw new SluiceError(
    'CORRUPT',
    `${join(folder, MARKER)} is damaged: remove this master from the cluster, empty its folder, and add it again`,
  );
}
