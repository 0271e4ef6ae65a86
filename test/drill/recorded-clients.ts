import { FileSystem } from '../../src/client/file-system.ts';
import { SluiceError } from '../../src/model/errors.ts';
import {
  type NamespaceCall,
  type NamespaceOperation,
  type NamespaceOutcome,
  wrongFolders,
} from '../lin/namespace-model.ts';
import { pause } from '../support/process-cluster.ts';

/** Few, because judging a history is exponential in what overlaps. */
const CLIENTS = 3;
const NAMES = ['a', 'b', 'c'];
/** Of these, the ones that let any master answer what they read. */
const READING_ANYWHERE = 2;
/** Between two calls of a client: keeps a history at a length that can be judged. */
const PAUSE_MS = 10;

/** Where the folders are. For standbys to answer, its mount must be one that is never looked at again. */
export const HISTORY = '/history';

/** Clients with connections of their own that call the namespace in one folder at the same time, and what they saw. */
export class RecordedClients {
  readonly #history: NamespaceOperation[] = [];
  readonly #stop = new AbortController();
  readonly #running: Promise<unknown>;
  #folder = `${HISTORY}/0`;
  #folders = 1;

  constructor(masters: readonly string[]) {
    const running = Array.from({ length: CLIENTS }, (_, client) => this.#run(masters, client));
    this.#running = Promise.all(running);
    // Whoever stops the clients hears of it.
    this.#running.catch(() => undefined);
  }

  /** From now on calls go to a new folder, whose history is judged by itself. */
  changeFolder(): void {
    this.#folder = `${HISTORY}/${this.#folders}`;
    this.#folders += 1;
  }

  /** Ends the clients. @throws SluiceError for an answer that the namespace never gives to these calls */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** Calls that have their answer. */
  get answered(): number {
    return this.#history.filter(({ outcome }) => outcome !== undefined).length;
  }

  /** The folders whose history is not linearizable. */
  wrongFolders(): string[] {
    return wrongFolders(this.#history);
  }

  async #run(masters: readonly string[], client: number): Promise<void> {
    // Each begins with another master, and so clings to another one when the masters are separated.
    const files = await FileSystem.connect({
      masters: [...masters.slice(client), ...masters.slice(0, client)],
      readFrom: client < READING_ANYWHERE ? 'any' : 'leader',
    });
    try {
      for (let count = client; !this.#stop.signal.aborted; count += 1) {
        const input = callOf(this.#folder, count);
        const calledAt = performance.now();
        const outcome = await outcomeOf(files, input);
        this.#history.push({ input, outcome, calledAt, returnedAt: performance.now() });
        await pause(PAUSE_MS);
      }
    } finally {
      await files.close();
    }
  }
}

/** Every kind of call with every name, in an order in which they meet. */
function callOf(folder: string, count: number): NamespaceCall {
  const pathOf = (index: number): string => `${folder}/${NAMES[index % NAMES.length]}`;
  const turn = Math.floor(count / 5);
  const path = pathOf(turn);
  const kind = (['create', 'exists', 'rename', 'exists', 'delete'] as const)[count % 5] ?? 'exists';
  return kind === 'rename' ? { kind, path, target: pathOf(turn + 1) } : { kind, path: pathOf(turn + (count % 3)) };
}

/** @returns undefined when no answer came */
async function outcomeOf(files: FileSystem, call: NamespaceCall): Promise<NamespaceOutcome | undefined> {
  try {
    if (call.kind === 'exists') return (await files.exists(call.path)) ? 'OK' : 'NOT_FOUND';
    if (call.kind === 'rename') await files.rename(call.path, call.target);
    else if (call.kind === 'delete') await files.delete(call.path);
    else await files.writeFile(call.path, new Uint8Array(0), { writeType: 'MUST_CACHE', recursive: true });
    return 'OK';
  } catch (error) {
    const { code } = SluiceError.from(error);
    if (code === 'NOT_FOUND' || code === 'ALREADY_EXISTS') return code;
    if (code === 'UNAVAILABLE' || code === 'TIMED_OUT') return undefined;
    throw error;
  }
}
