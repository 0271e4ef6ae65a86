/** Fails when src/wire/gen is not what `npm run proto` would write. Run by `npm run ok`. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';

const COMMITTED = 'src/wire/gen';

function contents(root: string): Map<string, string> {
  const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(
    files.map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return [relative(root, path), readFileSync(path, 'utf8')];
    }),
  );
}

const folder = mkdtempSync(join(tmpdir(), 'sluice-proto-'));
try {
  const buf = join('node_modules', '.bin', 'buf');
  execFileSync(buf, ['generate', 'proto', '--template', 'proto/buf.gen.yaml', '--output', folder], {
    stdio: 'inherit',
  });
  const fresh = contents(join(folder, COMMITTED));
  const committed = contents(COMMITTED);
  const names = [...new Set([...fresh.keys(), ...committed.keys()])].sort();
  const stale = names.filter((name) => fresh.get(name) !== committed.get(name));
  if (stale.length > 0) {
    console.error(`Generated code is not current: ${stale.join(', ')}. Run: npm run proto`);
    process.exitCode = 1;
  }
} finally {
  rmSync(folder, { recursive: true });
}
