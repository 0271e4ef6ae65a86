import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { AssertionError } from '../base/assert.ts';
import { ERROR_TABLE, type ErrorCode, SluiceError } from '../model/errors.ts';
import { REFUSAL } from './codec/refusal.ts';

const CODE_KEY = 'sluice-code';
const REFUSAL_KEY = 'sluice-refusal-bin';

/** What a foreign status becomes: one that did not come from our code at the other end. */
const FOREIGN: Readonly<Record<number, ErrorCode>> = {
  [status.CANCELLED]: 'CANCELLED',
  [status.INVALID_ARGUMENT]: 'INVALID_ARGUMENT',
  [status.DEADLINE_EXCEEDED]: 'TIMED_OUT',
  [status.PERMISSION_DENIED]: 'PERMISSION_DENIED',
  [status.UNAUTHENTICATED]: 'UNAUTHENTICATED',
  [status.RESOURCE_EXHAUSTED]: 'EXHAUSTED',
  [status.UNIMPLEMENTED]: 'UNSUPPORTED',
  [status.UNAVAILABLE]: 'UNAVAILABLE',
  [status.ABORTED]: 'UNAVAILABLE',
};

/** What grpc-js wants of a handler that refuses. */
export interface GrpcStatus {
  readonly code: number;
  readonly details: string;
  readonly metadata: Metadata;
}

/** An error as a gRPC status: the code by the error table, ours and the details in trailing metadata. */
export function toGrpcStatus(error: SluiceError): GrpcStatus {
  const metadata = new Metadata();
  metadata.set(CODE_KEY, error.code);
  metadata.set(REFUSAL_KEY, Buffer.from(REFUSAL.encode(error)));
  return { code: ERROR_TABLE[error.code].grpc, details: error.message, metadata };
}

/**
 * The error behind a failed call. One that our code at the other end raised comes back as it was; what gRPC itself says
 * (connection broken, deadline passed) gets details `transport: true`, and its message begins with `context`.
 */
export function fromGrpcStatus(error: ServiceError, context: string): SluiceError {
  const [encoded] = error.metadata?.get(REFUSAL_KEY) ?? [];
  if (Buffer.isBuffer(encoded))
    try {
      return SluiceError.of(REFUSAL.decode(encoded));
    } catch (thrown) {
      return SluiceError.from(thrown, 'INTERNAL', context);
    }
  const code = FOREIGN[error.code] ?? 'INTERNAL';
  return new SluiceError(code, `${context}${plainly(error.details || error.message)}`, {
    details: { transport: true },
    cause: error,
  });
}

/** What gRPC says of a connection, in words that tell what to look at. */
function plainly(said: string): string {
  // So says HTTP/2 of a server that does not speak it.
  if (said.includes('Protocol error'))
    return ' cannot be asked: who listens there speaks another protocol: is that the right port?';
  const [, reason] = /^No connection established\. Last error: (?:Error: )?(.*)\. Resolution note: /s.exec(said) ?? [];
  if (reason !== undefined) return ` cannot be reached (${reason}): does it run, and is that its address?`;
  if (said.startsWith('Name resolution failed'))
    return ' cannot be reached: nobody knows the address of that host; is its name spelled right?';
  if (said.startsWith('Deadline exceeded')) return ' did not answer in time';
  return `: ${said}`;
}

/** Whether gRPC, and not our code at the other end, raised this error. */
export function isTransportError(error: SluiceError): boolean {
  return error.details['transport'] === true;
}

/**
 * What a handler threw, as a refusal. A broken invariant is thrown on, outside of any promise, so that it stops the
 * process.
 */
export function refusalOf(thrown: unknown): SluiceError {
  if (thrown instanceof AssertionError)
    setImmediate(() => {
      throw thrown;
    });
  return SluiceError.from(thrown);
}
