/** How a caller may try again: never, at once at another node, or later at the same one. */
type Retry = 'never' | 'elsewhere' | 'later';

interface Row {
  /** Number of the gRPC status code. */
  readonly grpc: number;
  readonly errno: string;
  readonly s3: string;
  readonly http: number;
  readonly webhdfs: string;
  /** Exit code of the command line: 1 refused, 2 wrong usage, 70 defect or damage, 75 try again. */
  readonly exit: 1 | 2 | 70 | 75;
  readonly retry: Retry;
}

function row(
  grpc: number,
  errno: string,
  s3: string,
  http: number,
  webhdfs: string,
  exit: Row['exit'],
  retry: Retry,
): Row {
  return Object.freeze({ grpc, errno, s3, http, webhdfs, exit, retry });
}

/** The one table from our codes to every dialect that Sluice speaks. A code never changes its meaning. */
export const ERROR_TABLE = Object.freeze({
  NOT_FOUND: row(5, 'ENOENT', 'NoSuchKey', 404, 'FileNotFoundException', 1, 'never'),
  ALREADY_EXISTS: row(6, 'EEXIST', 'OperationAborted', 409, 'FileAlreadyExistsException', 1, 'never'),
  NOT_A_DIRECTORY: row(9, 'ENOTDIR', 'InvalidRequest', 409, 'ParentNotDirectoryException', 1, 'never'),
  IS_A_DIRECTORY: row(9, 'EISDIR', 'InvalidRequest', 409, 'FileNotFoundException', 1, 'never'),
  NOT_EMPTY: row(9, 'ENOTEMPTY', 'InvalidRequest', 409, 'PathIsNotEmptyDirectoryException', 1, 'never'),
  /** The file is still being written. */
  INCOMPLETE: row(9, 'EBUSY', 'OperationAborted', 409, 'IOException', 1, 'never'),
  /** The operation would cross the border between two mounts, or change a mount point itself. */
  CROSS_MOUNT: row(9, 'EXDEV', 'InvalidRequest', 409, 'IOException', 1, 'never'),
  READ_ONLY: row(9, 'EROFS', 'AccessDenied', 403, 'AccessControlException', 1, 'never'),
  INVALID_ARGUMENT: row(3, 'EINVAL', 'InvalidArgument', 400, 'IllegalArgumentException', 2, 'never'),
  PERMISSION_DENIED: row(7, 'EACCES', 'AccessDenied', 403, 'AccessControlException', 1, 'never'),
  UNAUTHENTICATED: row(16, 'EACCES', 'AccessDenied', 401, 'SecurityException', 1, 'never'),
  /** This master does not lead; `details.leader` has the address of the one that does, when known. */
  NOT_LEADER: row(9, 'EAGAIN', 'SlowDown', 503, 'StandbyException', 75, 'elsewhere'),
  UNAVAILABLE: row(14, 'EIO', 'SlowDown', 503, 'RetriableException', 75, 'later'),
  TIMED_OUT: row(4, 'ETIMEDOUT', 'SlowDown', 503, 'RetriableException', 75, 'later'),
  /** The caller gave up. */
  CANCELLED: row(1, 'ECANCELED', 'RequestTimeout', 499, 'IOException', 75, 'never'),
  /** A quota, a queue or a disk is full. */
  EXHAUSTED: row(8, 'ENOSPC', 'SlowDown', 503, 'DSQuotaExceededException', 75, 'later'),
  /** The client's session is unknown: the fate of its earlier commands can no longer be told. */
  SESSION_EXPIRED: row(10, 'ESTALE', 'SlowDown', 409, 'IOException', 75, 'never'),
  /** What is read is no longer what the status described; ask for the status again. */
  STALE: row(10, 'ESTALE', 'PreconditionFailed', 412, 'IOException', 75, 'never'),
  CORRUPT: row(15, 'EIO', 'InternalError', 500, 'IOException', 70, 'elsewhere'),
  UNSUPPORTED: row(12, 'ENOTSUP', 'NotImplemented', 501, 'UnsupportedOperationException', 1, 'never'),
  INTERNAL: row(13, 'EIO', 'InternalError', 500, 'IOException', 70, 'never'),
});

export type ErrorCode = keyof typeof ERROR_TABLE;

/** Facts about an error for programs: small, flat, never secret. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean>>;

/** A refusal as a value: what `apply` returns and what the journal of replies stores. */
export interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details?: ErrorDetails;
}

/** The one class of operating errors. `message` names the thing, the limit and the way out. */
export class SluiceError extends Error implements Refusal {
  override readonly name = 'SluiceError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(
    code: ErrorCode,
    message: string,
    options: { readonly details?: ErrorDetails; readonly cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }

  /** Turns any thrown thing into ours: ours stay as they are, others become `fallback` with the other as cause. */
  static from(thrown: unknown, fallback: ErrorCode = 'INTERNAL', context?: string): SluiceError {
    if (thrown instanceof SluiceError && context === undefined) return thrown;
    const said = thrown instanceof Error ? thrown.message : String(thrown);
    const message = context === undefined ? said : `${context}: ${said}`;
    if (thrown instanceof SluiceError)
      return new SluiceError(thrown.code, message, { details: thrown.details, cause: thrown });
    return new SluiceError(fallback, message, { cause: thrown });
  }

  static of(refusal: Refusal): SluiceError {
    return new SluiceError(
      refusal.code,
      refusal.message,
      refusal.details === undefined ? {} : { details: refusal.details },
    );
  }
}

/** Whether `code` is one of ours. */
export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERROR_TABLE, code);
}
