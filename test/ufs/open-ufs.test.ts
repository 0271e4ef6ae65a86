import { expect, test } from 'vitest';
import { createLogger } from '../../src/host/logger.ts';
import { visibleOptions } from '../../src/model/mount.ts';
import { openUfs, UFS_SCHEMES } from '../../src/ufs/open-ufs.ts';

const logger = createLogger('silent', {});

test.each([
  ['file:///data', 'file:///data'],
  ['/data/', 'file:///data'],
  ['FILE:///a//b/./c', 'file:///a/b/c'],
  ['file:///', 'file:///'],
  ['file:///a%20b #?', 'file:///a%20b #?'],
  ['s3://bucket', 's3://bucket'],
  ['s3://bucket/', 's3://bucket'],
  ['s3://bucket/some/prefix/', 's3://bucket/some/prefix'],
  ['s3a://bucket/p', 's3://bucket/p'],
])('%s opens as %s', async (uri, opened) => {
  const ufs = openUfs(uri, {}, logger);
  expect(ufs.uri).toBe(opened);
  await ufs.close();
});

test.each([
  ['an unknown scheme', 's4://bucket', {}, /did you mean s3:/],
  ['a memory scheme', 'memory://x', {}, /Unknown scheme memory/],
  ['no scheme', 'data', {}, /not a URI/],
  ['an object prototype', 'constructor://x', {}, /Unknown scheme/],
  ['a relative file', 'file://host/x', {}, /file:\/\/\//],
  ['a file that climbs', 'file:///a/../b', {}, /cannot be mounted/],
  ['no bucket', 's3:///x', {}, /names no bucket/],
  ['an empty name in a prefix', 's3://bucket/a//b', {}, /cannot be mounted/],
  ['an option that is misspelt', 's3://b1b', { 's3.endpont': 'x' }, /did you mean s3\.endpoint\?/],
  ['an option of another scheme', 'file:///x', { 's3.region': 'x' }, /has no options/],
  ['a bad value', 's3://b1b', { 's3.part-size': '1MiB' }, /s3\.part-size must be a size/],
  ['a bad endpoint', 's3://b1b', { 's3.endpoint': 'localhost:9000' }, /s3\.endpoint must be a URL/],
  ['half of the keys', 's3://b1b', { 's3.access-key': 'x' }, /without s3\.secret-key/],
  ['the other half', 's3://b1b', { 's3.secret-key': 'x' }, /without s3\.access-key/],
  ['a token alone', 's3://b1b', { 's3.session-token': 'x' }, /s3\.session-token/],
])('%s is refused', (_title, uri, options, message) => {
  expect(() => openUfs(uri, options as Record<string, string>, logger)).toThrow(
    expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringMatching(message) }),
  );
});

test('every option says what it does, and every secret one is masked', () => {
  expect(UFS_SCHEMES.map(({ scheme }) => scheme)).toEqual(['file', 's3', 's3a']);
  for (const { example, options } of UFS_SCHEMES) {
    expect(openUfs(example, {}, logger).uri).toMatch(/^(file|s3):/);
    for (const option of options) {
      expect(option.doc).toMatch(/\.$/);
      option.parse(option.fallback);
      const shown = visibleOptions({ [option.key]: 'value' })[option.key];
      expect(shown).toBe(option.secret ? '******' : 'value');
    }
  }
});
