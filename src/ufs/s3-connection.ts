import type { S3, S3ClientConfig } from '@aws-sdk/client-s3';
import { assert } from '../base/assert.ts';
import type { Logger } from '../host/logger.ts';
import { throwIfAborted } from './abort.ts';
import { type S3Context, s3Error } from './s3-errors.ts';
import type { S3Settings } from './s3-options.ts';

/** Requests under way at once. Waiting for a socket counts as connecting, so this is far above what workers ask for. */
const MAX_SOCKETS = 1024;

/** A bucket and the prefix below which a mount lives. */
export interface S3Place {
  readonly bucket: string;
  /** Empty, or ends with a slash. */
  readonly prefix: string;
}

export interface S3RequestOptions {
  readonly abortSignal?: AbortSignal;
}

/** The way to one bucket: makes keys of paths, sends requests, names things in errors. */
export class S3Connection {
  readonly place: S3Place;
  readonly settings: S3Settings;
  readonly logger: Logger;
  /** For people. */
  readonly endpoint: string;
  #client: Promise<S3> | undefined;
  #closed = false;

  constructor(place: S3Place, settings: S3Settings, logger: Logger) {
    this.place = place;
    this.settings = settings;
    this.logger = logger;
    this.endpoint = settings.endpoint === '' ? `AWS in ${settings.region}` : settings.endpoint;
  }

  get bucket(): string {
    return this.place.bucket;
  }

  /** Key of a file. */
  key(path: string): string {
    return this.place.prefix + path;
  }

  /** What the keys of everything in a directory begin with; also the key of its marker. */
  directoryKey(path: string): string {
    return path === '' ? this.place.prefix : `${this.place.prefix}${path}/`;
  }

  uriOf(path: string): string {
    return `s3://${this.bucket}/${this.key(path)}`;
  }

  contextOf(path: string): S3Context {
    return { subject: this.uriOf(path), bucket: this.bucket, endpoint: this.endpoint };
  }

  /** Sends a request about `path`. @throws what `s3Error` makes of a failure, CANCELLED when the caller gave up */
  async send<T>(
    path: string,
    signal: AbortSignal | undefined,
    request: (s3: S3, options: S3RequestOptions) => Promise<T>,
  ): Promise<T> {
    try {
      return await this.sendRaw(signal, request);
    } catch (thrown) {
      throw s3Error(thrown, this.contextOf(path));
    }
  }

  /** The same, but failures are those of the SDK; only CANCELLED is ours. */
  async sendRaw<T>(
    signal: AbortSignal | undefined,
    request: (s3: S3, options: S3RequestOptions) => Promise<T>,
  ): Promise<T> {
    throwIfAborted(signal);
    const s3 = await this.#open();
    try {
      return await request(s3, signal === undefined ? {} : { abortSignal: signal });
    } catch (thrown) {
      throwIfAborted(signal);
      throw thrown;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const client = await this.#client?.catch(() => undefined);
    client?.destroy();
  }

  /** The SDK takes 0.1 s to load: only who mounts S3 pays for it. */
  #open(): Promise<S3> {
    assert(!this.#closed, 'S3 request after close');
    this.#client ??= this.#load();
    return this.#client;
  }

  async #load(): Promise<S3> {
    // The SDK's version is ours to choose: its advice about later versions is not for operators.
    process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
    const { S3 } = await import('@aws-sdk/client-s3');
    return new S3(this.#config());
  }

  #config(): S3ClientConfig {
    const { settings, logger } = this;
    const own = settings.endpoint !== '';
    const { accessKey: accessKeyId, secretKey: secretAccessKey, sessionToken } = settings;
    const credentials = { accessKeyId, secretAccessKey, ...(sessionToken === '' ? {} : { sessionToken }) };
    const supported = settings.checksums === 'supported' || (settings.checksums === 'auto' && !own);
    const say = (...said: unknown[]): void => logger.warn({ said: said.map(String) }, 'S3 client warns');
    const quiet = (): void => {};
    return {
      region: settings.region,
      ...(own ? { endpoint: settings.endpoint } : { followRegionRedirects: true }),
      ...(accessKeyId === '' ? {} : { credentials }),
      forcePathStyle: settings.pathStyle === 'true' || (settings.pathStyle === 'auto' && own),
      maxAttempts: settings.maxAttempts,
      requestChecksumCalculation: supported ? 'WHEN_SUPPORTED' : 'WHEN_REQUIRED',
      // Ranges cannot be checked by a checksum of the whole; pages have their own.
      responseChecksumValidation: 'WHEN_REQUIRED',
      // Servers that never answer it would cost seconds for each part.
      expectContinueHeader: false,
      requestHandler: {
        connectionTimeout: settings.connectTimeout,
        socketTimeout: settings.requestTimeout,
        httpAgent: { keepAlive: true, maxSockets: MAX_SOCKETS },
        httpsAgent: { keepAlive: true, maxSockets: MAX_SOCKETS },
        logger: { trace: quiet, debug: quiet, info: quiet, warn: say, error: say },
      },
    };
  }
}
