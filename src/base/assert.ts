/** A promise of our own code was broken. Nobody catches this: the process reports it and stops. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

/** Checks an invariant, in production too. @throws AssertionError with `message` when `condition` is false. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** Returns `value`, which an invariant promises to be present. @throws AssertionError when it is absent. */
export function must<T>(value: T | undefined | null, message: string): T {
  if (value === undefined || value === null) throw new AssertionError(message);
  return value;
}

/** Marks a branch that the type system proves unreachable. */
export function unreachable(value: never): never {
  throw new AssertionError(`Unexpected value: ${JSON.stringify(value)}`);
}
