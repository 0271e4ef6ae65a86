import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { SluiceError } from '../../../model/errors.ts';
import type { CommandSpec } from '../../command-spec.ts';
import { remotePath } from '../../remote-path.ts';

interface Digest {
  update(bytes: Uint8Array): void;
  hex(): string;
}

/** `sluice fs checksum`: reads the whole content, from the cache where it is there. */
export const checksumCommand: CommandSpec<{ readonly algorithm?: string }> = {
  name: 'checksum',
  summary: 'compute a checksum of the content of files',
  arguments: [['<path...>', 'files to read']],
  options: [['-a, --algorithm <name>', 'md5 (default), sha256 or crc32']],
  async run(context, args, { algorithm = 'md5' }) {
    checkAlgorithm(algorithm);
    const files = await context.files();
    for (const text of args) {
      const path = remotePath(text);
      const digest = digestOf(algorithm);
      const reader = await files.open(path, { signal: context.signal });
      for await (const bytes of reader.stream({ signal: context.signal })) digest.update(bytes);
      const { lengthBytes } = reader.status;
      const checksum = digest.hex();
      if (context.json) await context.out.json({ path, algorithm, checksum, lengthBytes });
      else await context.out.lines([`${checksum}  ${path}`]);
    }
    return 0;
  },
};

function checkAlgorithm(name: string): void {
  if (['md5', 'sha256', 'crc32'].includes(name)) return;
  throw new SluiceError('INVALID_ARGUMENT', `--algorithm must be md5, sha256 or crc32, got ${name}`);
}

function digestOf(name: string): Digest {
  if (name !== 'crc32') {
    const hash = createHash(name);
    return { update: (bytes) => void hash.update(bytes), hex: () => hash.digest('hex') };
  }
  let sum = 0;
  return {
    update: (bytes) => {
      sum = crc32(bytes, sum);
    },
    hex: () => sum.toString(16).padStart(8, '0'),
  };
}
