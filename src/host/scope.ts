import { SluiceError } from '../model/errors.ts';

/** Anything that must be closed: servers, databases, streams, services. */
export interface Closeable {
  /** Idempotent: later calls wait for the first. */
  close(): Promise<void>;
}

interface Child {
  readonly name: string;
  readonly close: () => Promise<void> | void;
}

/**
 * Owns what was started, in order. `close` ends the children in reverse order, each although others failed, and then
 * reports all failures as one. A child that is added after the close began is refused.
 */
export class Scope implements Closeable {
  readonly #children: Child[] = [];
  #closing: Promise<void> | undefined;

  /** Takes over `child`. @returns it, so that opening and owning are one expression. */
  own<T extends Closeable>(name: string, child: T): T {
    this.onClose(name, () => child.close());
    return child;
  }

  /** Runs `close` when the scope closes. */
  onClose(name: string, close: () => Promise<void> | void): void {
    if (this.#closing !== undefined) throw new SluiceError('CANCELLED', `Cannot start ${name}: the process is closing`);
    this.#children.push({ name, close });
  }

  close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  async #closeAll(): Promise<void> {
    const failures: unknown[] = [];
    const names: string[] = [];
    for (let child = this.#children.pop(); child !== undefined; child = this.#children.pop()) {
      try {
        await child.close();
      } catch (thrown) {
        failures.push(thrown);
        names.push(child.name);
      }
    }
    if (failures.length === 0) return;
    const said = failures.map((failure) => SluiceError.from(failure).message).join('; ');
    throw new SluiceError('INTERNAL', `Closing ${names.join(', ')} failed: ${said}`, {
      cause: failures.length === 1 ? failures[0] : new AggregateError(failures),
    });
  }
}

/**
 * Runs `start` with a new scope. When it fails, everything that it started is closed before the error is passed on.
 * @returns what `start` made; its owner closes the scope.
 */
export async function opening<T>(start: (scope: Scope) => Promise<T>): Promise<T> {
  const scope = new Scope();
  try {
    return await start(scope);
  } catch (thrown) {
    await scope.close().catch((failure: unknown) => {
      throw new AggregateError([thrown, failure], SluiceError.from(thrown).message);
    });
    throw thrown;
  }
}
