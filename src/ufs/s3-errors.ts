import { type ErrorCode, SluiceError } from '../model/errors.ts';

/** What a message must name. */
export interface S3Context {
  /** The thing: an `s3://` URI. */
  readonly subject: string;
  readonly bucket: string;
  /** For people: the URL, or AWS and its region. */
  readonly endpoint: string;
}

type Says = (context: S3Context) => string;
type Meaning = readonly [ErrorCode, Says];

const BAD_TOKEN: Meaning = [
  'UNAUTHENTICATED',
  (c) => `${c.endpoint} refuses the session token: renew s3.session-token`,
];
const BUSY: Meaning = ['UNAVAILABLE', (c) => `${c.endpoint} is busy with ${c.subject}: try again later`];
const FULL: Meaning = ['EXHAUSTED', (c) => `The quota of bucket ${c.bucket} is used up: raise it or delete objects`];
const NO_KEYS: Meaning = [
  'UNAUTHENTICATED',
  (c) => `No credentials for ${c.endpoint}: set s3.access-key and s3.secret-key, or AWS_ACCESS_KEY_ID and its like`,
];
const NOT_ALLOWED: Meaning = [
  'PERMISSION_DENIED',
  (c) =>
    `${c.endpoint} forbids this on ${c.subject}: grant the access key the right in the policy of bucket ${c.bucket}`,
];
const WRONG_REGION: Meaning = [
  'INVALID_ARGUMENT',
  (c) => `Bucket ${c.bucket} is in another region than that of ${c.endpoint}: set s3.region`,
];
const GONE: Meaning = ['NOT_FOUND', (c) => `${c.subject} does not exist`];
const CHANGED: Meaning = ['STALE', (c) => `${c.subject} has changed: ask for its status again`];
const MISSING: Meaning = ['UNSUPPORTED', (c) => `${c.endpoint} does not support a request for ${c.subject}`];

/** By the code in the answer's body. */
const BY_CODE: Readonly<Record<string, Meaning>> = {
  NoSuchBucket: [
    'NOT_FOUND',
    (c) => `Bucket ${c.bucket} does not exist at ${c.endpoint}: create it or correct the URI`,
  ],
  NoSuchKey: GONE,
  NotFound: GONE,
  NoSuchUpload: ['UNAVAILABLE', (c) => `The upload of ${c.subject} was ended by someone else: write it again`],
  InvalidAccessKeyId: ['UNAUTHENTICATED', (c) => `${c.endpoint} does not know the access key: correct s3.access-key`],
  SignatureDoesNotMatch: [
    'UNAUTHENTICATED',
    (c) => `${c.endpoint} refuses the signature: correct s3.secret-key (or s3.region)`,
  ],
  RequestTimeTooSkewed: [
    'UNAUTHENTICATED',
    (c) => `The clocks of this host and of ${c.endpoint} differ too much: set them right`,
  ],
  ExpiredToken: BAD_TOKEN,
  InvalidToken: BAD_TOKEN,
  TokenRefreshRequired: BAD_TOKEN,
  CredentialsProviderError: NO_KEYS,
  AccessDenied: NOT_ALLOWED,
  AllAccessDisabled: NOT_ALLOWED,
  AccountProblem: NOT_ALLOWED,
  PermanentRedirect: WRONG_REGION,
  AuthorizationHeaderMalformed: WRONG_REGION,
  IllegalLocationConstraintException: WRONG_REGION,
  PreconditionFailed: CHANGED,
  ConditionalRequestConflict: BUSY,
  OperationAborted: BUSY,
  SlowDown: BUSY,
  RequestTimeout: BUSY,
  QuotaExceeded: FULL,
  InsufficientCapacity: FULL,
  XMinioStorageFull: FULL,
  EntityTooLarge: ['EXHAUSTED', (c) => `${c.subject} exceeds the largest object of ${c.endpoint}: split it`],
  KeyTooLongError: ['INVALID_ARGUMENT', (c) => `The key of ${c.subject} is longer than S3 takes: use shorter names`],
  InvalidBucketName: ['INVALID_ARGUMENT', (c) => `${c.bucket} cannot name a bucket: correct the URI`],
  InvalidObjectState: [
    'UNSUPPORTED',
    (c) => `${c.subject} is archived: restore it to a storage class that can be read`,
  ],
  NotImplemented: MISSING,
  MethodNotAllowed: MISSING,
};

const BY_STATUS: Readonly<Record<number, Meaning>> = {
  301: WRONG_REGION,
  307: WRONG_REGION,
  401: ['UNAUTHENTICATED', (c) => `${c.endpoint} refuses the credentials: correct s3.access-key and s3.secret-key`],
  403: NOT_ALLOWED,
  404: GONE,
  405: MISSING,
  408: BUSY,
  409: BUSY,
  411: MISSING,
  412: CHANGED,
  429: BUSY,
  501: MISSING,
  507: FULL,
};

const UNTRUSTED: Meaning = [
  'UNAVAILABLE',
  (c) =>
    `The certificate of ${c.endpoint} is not trusted: name its authority in NODE_EXTRA_CA_CERTS, or correct the host`,
];
const NO_ANSWER: Meaning = [
  'UNAVAILABLE',
  (c) => `${c.endpoint} does not answer in time: check s3.endpoint, the network and the server`,
];
const UNKNOWN_HOST: Meaning = ['UNAVAILABLE', (c) => `The host of ${c.endpoint} is unknown: check s3.endpoint and DNS`];
const CUT: Meaning = ['UNAVAILABLE', (c) => `${c.endpoint} closed the connection for ${c.subject}: try again`];
const NO_ROUTE: Meaning = ['UNAVAILABLE', (c) => `There is no way to ${c.endpoint}: check s3.endpoint and the network`];

/** By node's code of the error of a connection. */
const BY_ERRNO: Readonly<Record<string, Meaning>> = {
  ECONNREFUSED: ['UNAVAILABLE', (c) => `Nothing listens at ${c.endpoint}: check s3.endpoint and that the server runs`],
  ENOTFOUND: UNKNOWN_HOST,
  EAI_AGAIN: UNKNOWN_HOST,
  EHOSTUNREACH: NO_ROUTE,
  ENETUNREACH: NO_ROUTE,
  ETIMEDOUT: NO_ANSWER,
  ECONNRESET: CUT,
  ECONNABORTED: CUT,
  EPIPE: CUT,
  ERR_STREAM_PREMATURE_CLOSE: CUT,
  EPROTO: ['UNAVAILABLE', (c) => `${c.endpoint} does not speak TLS: write http:// in s3.endpoint`],
  ERR_TLS_CERT_ALTNAME_INVALID: UNTRUSTED,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNTRUSTED,
  SELF_SIGNED_CERT_IN_CHAIN: UNTRUSTED,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNTRUSTED,
  CERT_HAS_EXPIRED: UNTRUSTED,
};

interface S3Failure {
  readonly name?: unknown;
  readonly Code?: unknown;
  readonly code?: unknown;
  readonly message?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

/** HTTP status of the answer that `thrown` reports; 0 when there was none. */
export function statusOf(thrown: unknown): number {
  return (thrown as S3Failure | undefined)?.$metadata?.httpStatusCode ?? 0;
}

/** S3's code of an error, such as `NoSuchKey`; '' when there is none. */
export function s3CodeOf(thrown: unknown): string {
  const { name, Code } = (thrown ?? {}) as S3Failure;
  if (typeof Code === 'string') return Code;
  return typeof name === 'string' ? name : '';
}

/** Our error for what the SDK throws. */
export function s3Error(thrown: unknown, context: S3Context): SluiceError {
  if (thrown instanceof SluiceError) return thrown;
  const meaning = meaningOf(thrown);
  if (meaning !== undefined) return new SluiceError(meaning[0], meaning[1](context), { cause: thrown });
  const status = statusOf(thrown);
  const text = `${s3CodeOf(thrown)} ${String((thrown as S3Failure | undefined)?.message ?? thrown)}`.trim();
  if (status >= 400 && status < 500) {
    const message = `${context.endpoint} refuses a request for ${context.subject} (${status}): ${text}`;
    return new SluiceError('INVALID_ARGUMENT', message, { cause: thrown });
  }
  if (status !== 0 || text.includes('HPE_') || text.includes('Parse Error')) {
    const message = `${context.endpoint} fails on ${context.subject} (${status || 'no HTTP'}): ${text}`;
    return new SluiceError('UNAVAILABLE', message, { cause: thrown });
  }
  return SluiceError.from(thrown, 'INTERNAL', context.subject);
}

function meaningOf(thrown: unknown): Meaning | undefined {
  const code = s3CodeOf(thrown);
  const errno = (thrown as S3Failure | undefined)?.code;
  if (typeof errno === 'string' && Object.hasOwn(BY_ERRNO, errno)) return BY_ERRNO[errno];
  if (Object.hasOwn(BY_CODE, code)) return BY_CODE[code];
  if (code === 'TimeoutError') return NO_ANSWER;
  return BY_STATUS[statusOf(thrown)];
}
