import { nearest } from '../host/config/nearest.ts';
import type { Option, OptionSet } from '../host/config/option.ts';
import type { Logger } from '../host/logger.ts';
import { SluiceError } from '../model/errors.ts';
import { checkName } from '../model/path.ts';
import { LocalUfs } from './local-ufs.ts';
import { parseS3Options, S3_OPTIONS } from './s3-options.ts';
import { S3Ufs } from './s3-ufs.ts';
import type { Ufs } from './ufs.ts';
import { parseUfsOptions } from './ufs-options.ts';

interface Scheme {
  readonly doc: string;
  /** What a URI looks like. */
  readonly example: string;
  readonly options: OptionSet;
  /** @param rest of the URI behind `://` */
  readonly open: (rest: string, options: Readonly<Record<string, string>>, logger: Logger) => Ufs;
}

const S3: Scheme = {
  doc: 'A bucket of Amazon S3 or of any server that speaks its protocol, or a prefix of it.',
  example: 's3://bucket/prefix',
  options: S3_OPTIONS,
  open: openS3,
};

const SCHEMES: Readonly<Record<string, Scheme>> = {
  file: {
    doc: 'A directory of this host, or of a network file system mounted there; every node must see the same.',
    example: 'file:///data',
    options: {},
    open: openLocal,
  },
  s3: S3,
  s3a: { ...S3, doc: 'The same as s3, as Hadoop calls it.', example: 's3a://bucket/prefix' },
};

/** What can be mounted, for people. */
export interface UfsScheme {
  readonly scheme: string;
  readonly doc: string;
  readonly example: string;
  readonly options: readonly Option<unknown>[];
}

/** Every scheme with its options. */
export const UFS_SCHEMES: readonly UfsScheme[] = Object.entries(SCHEMES).map(([scheme, { doc, example, options }]) => ({
  scheme,
  doc,
  example,
  options: Object.values(options),
}));

/**
 * Opens the UFS of a mount; nothing is contacted before the first call. A URI is taken as it is written, without
 * percent-decoding; a plain absolute path is a `file://`.
 * @throws INVALID_ARGUMENT for an unknown scheme or option, naming the nearest known one, and for a bad URI or value.
 */
export function openUfs(uri: string, options: Readonly<Record<string, string>>, logger: Logger): Ufs {
  if (uri.startsWith('/')) return openLocal(uri, options, logger);
  const [, name = '', rest = ''] = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/(.*)$/s.exec(uri) ?? [];
  if (name === '') {
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `${uri} is not a URI: write ${SCHEMES['file']?.example} or ${S3.example}`,
    );
  }
  const scheme = name.toLowerCase();
  const found = Object.hasOwn(SCHEMES, scheme) ? SCHEMES[scheme] : undefined;
  if (found !== undefined) return found.open(rest, options, logger);
  const meant = nearest(scheme, Object.keys(SCHEMES));
  throw new SluiceError('INVALID_ARGUMENT', `Unknown scheme ${name}:// in ${uri}: did you mean ${meant}://?`);
}

function openLocal(path: string, options: Readonly<Record<string, string>>, logger: Logger): Ufs {
  parseUfsOptions('file', {}, options);
  if (!path.startsWith('/')) {
    throw new SluiceError('INVALID_ARGUMENT', `file://${path} names no absolute path: write file:///${path}`);
  }
  const names = path.split('/').filter((name) => name !== '' && name !== '.');
  checkNames(names, `file://${path}`);
  return new LocalUfs(`/${names.join('/')}`, logger);
}

function openS3(rest: string, options: Readonly<Record<string, string>>, logger: Logger): Ufs {
  const settings = parseS3Options(options);
  const [bucket = '', ...names] = rest.replace(/\/+$/, '').split('/');
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/.test(bucket)) {
    throw new SluiceError('INVALID_ARGUMENT', `s3://${rest} names no bucket: write ${S3.example}`);
  }
  checkNames(names, `s3://${rest}`);
  const prefix = names.length === 0 ? '' : `${names.join('/')}/`;
  return new S3Ufs({ bucket, prefix }, settings, logger);
}

function checkNames(names: readonly string[], uri: string): void {
  for (const name of names) {
    const refusal = checkName(name);
    if (refusal !== undefined)
      throw new SluiceError('INVALID_ARGUMENT', `${uri} cannot be mounted: ${refusal.message}`);
  }
}
