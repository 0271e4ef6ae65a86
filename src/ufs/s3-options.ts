import { bytes, choice, duration, integer, type OptionSet, text, type ValuesOf } from '../host/config/option.ts';
import { SluiceError } from '../model/errors.ts';
import { parseUfsOptions } from './ufs-options.ts';

/** What a mount of `s3://` may set. */
export const S3_OPTIONS = {
  endpoint: text(
    { key: 's3.endpoint', doc: 'URL of the S3 server; empty means AWS.', fallback: '' },
    /^(https?:\/\/[^/\s]+\/?)?$/,
    'URL such as http://host:9000',
  ),
  region: text(
    { key: 's3.region', doc: 'Region that requests are signed for.', fallback: 'us-east-1' },
    /^[A-Za-z0-9-]+$/,
    'region such as us-east-1',
  ),
  accessKey: text({
    key: 's3.access-key',
    doc: "Access key ID; without it the AWS SDK's default chain is used: environment, ~/.aws, instance role.",
    fallback: '',
  }),
  secretKey: text({
    key: 's3.secret-key',
    doc: 'Secret access key; goes with s3.access-key.',
    fallback: '',
    secret: true,
  }),
  sessionToken: text({
    key: 's3.session-token',
    doc: 'Session token of temporary credentials.',
    fallback: '',
    secret: true,
  }),
  pathStyle: choice(
    {
      key: 's3.path-style',
      doc: 'Put the bucket into the path and not into the host name; auto does so when an endpoint is given.',
      fallback: 'auto',
    },
    ['auto', 'true', 'false'],
  ),
  partSize: bytes(
    {
      key: 's3.part-size',
      doc: 'Bytes of a part of a multipart upload; smaller files are one request. Doubles after each 1,000 parts.',
      fallback: '8MiB',
    },
    { min: 5 * 2 ** 20, max: 512 * 2 ** 20 },
  ),
  uploadParts: integer(
    { key: 's3.upload-parts', doc: 'Parts of one file that are uploaded at once.', fallback: '4' },
    { min: 1, max: 64 },
  ),
  maxAttempts: integer(
    { key: 's3.max-attempts', doc: 'Attempts for one request before it fails.', fallback: '4' },
    { min: 1, max: 20 },
  ),
  connectTimeout: duration(
    { key: 's3.connect-timeout', doc: 'How long one attempt to connect may take.', fallback: '3s' },
    { min: 100, max: 60_000 },
  ),
  requestTimeout: duration(
    {
      key: 's3.request-timeout',
      doc: 'A request is given up when no byte has moved for so long.',
      fallback: '60s',
    },
    { min: 100, max: 3600_000 },
  ),
  checksums: choice(
    {
      key: 's3.checksums',
      doc: 'Where uploads carry CRC32 checksums: required, supported; auto is required when an endpoint is given.',
      fallback: 'auto',
    },
    ['auto', 'required', 'supported'],
  ),
} satisfies OptionSet;

export type S3Settings = ValuesOf<typeof S3_OPTIONS>;

/** @throws INVALID_ARGUMENT */
export function parseS3Options(given: Readonly<Record<string, string>>): S3Settings {
  const settings = parseUfsOptions('s3', S3_OPTIONS, given);
  const half = settings.accessKey === '' ? 's3.secret-key' : 's3.access-key';
  const missing = settings.accessKey === '' ? 's3.access-key' : 's3.secret-key';
  if ((settings.accessKey === '') !== (settings.secretKey === '')) {
    throw new SluiceError('INVALID_ARGUMENT', `${half} is given without ${missing}: give both, or none of them`);
  }
  if (settings.sessionToken !== '' && settings.accessKey === '') {
    throw new SluiceError('INVALID_ARGUMENT', 's3.session-token is given without s3.access-key and s3.secret-key');
  }
  return settings;
}
