import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, normalize, relative, sep } from 'node:path';
import { describe, expect, test } from 'vitest';

/**
 * The rooms of src/: what each may import, and the npm packages that it alone may import. An arrow that is not here is
 * a mistake in the code or a decision to be written down here, in one commit with its reason.
 */
const ROOMS: Record<string, { imports: string[]; packages: string[]; pure?: true }> = {
  base: { imports: [], packages: [], pure: true },
  model: { imports: ['base'], packages: [], pure: true },
  raft: { imports: ['base'], packages: [], pure: true },
  host: { imports: ['base', 'model'], packages: ['pino', 'level', 'prom-client', 'yaml'] },
  wire: {
    imports: ['base', 'model', 'raft', 'host'],
    packages: ['@grpc/grpc-js', '@bufbuild/protobuf', 'msgpackr'],
  },
  ufs: { imports: ['base', 'model', 'host'], packages: ['@aws-sdk/client-s3'] },
  cache: { imports: ['base', 'model', 'host'], packages: [] },
  client: { imports: ['base', 'model', 'host', 'wire', 'cache'], packages: [] },
  master: { imports: ['base', 'model', 'raft', 'host', 'wire', 'ufs'], packages: ['tar-stream'] },
  worker: { imports: ['base', 'model', 'host', 'wire', 'ufs', 'cache', 'client'], packages: [] },
  cli: {
    imports: ['base', 'model', 'raft', 'host', 'wire', 'ufs', 'cache', 'client', 'master', 'worker'],
    packages: ['commander', 'cli-progress'],
  },
};

const FORBIDDEN_NAMES = new Set(['utils', 'util', 'helpers', 'helper', 'common', 'misc', 'types', 'manager', 'impl']);
/** Sources of surprise that the compiler cannot refuse on the pure floors. */
const IMPURE = /\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\bperformance\.now\b|\bsetTimeout\b|\bsetInterval\b/;

const root = join(dirname(new URL(import.meta.url).pathname), '..');
const source = join(root, 'src');

interface SourceFile {
  readonly path: string;
  readonly room: string;
  readonly text: string;
  readonly imports: readonly string[];
}

function filesBelow(folder: string, ending: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return filesBelow(path, ending);
    return entry.name.endsWith(ending) ? [path] : [];
  });
}

function importsOf(text: string): string[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
  const found = code.matchAll(
    /^(?:import|export)\b[^'"`;]*?\bfrom\s*'([^']+)'|^import\s*'([^']+)'|\bimport\('([^']+)'\)/gm,
  );
  return [...found].map((match) => (match[1] ?? match[2] ?? match[3]) as string);
}

const files: SourceFile[] = filesBelow(source, '.ts').map((path) => {
  const text = readFileSync(path, 'utf8');
  const name = relative(source, path);
  return { path: name, room: name.split(sep)[0] as string, text, imports: importsOf(text) };
});
const written = files.filter((file) => !file.path.startsWith(join('wire', 'gen')));

function packageOf(specifier: string): string {
  const parts = specifier.split('/');
  return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] as string);
}

function targetOf(file: SourceFile, specifier: string): string {
  return normalize(join(dirname(file.path), specifier));
}

describe('rooms', () => {
  test('every folder of src is a room with a README', () => {
    const folders = readdirSync(source, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    expect(folders.map((entry) => entry.name).filter((name) => ROOMS[name] === undefined)).toEqual([]);
    expect(folders.map((entry) => entry.name).filter((name) => !existsSync(join(source, name, 'README.md')))).toEqual(
      [],
    );
  });

  test('imports between rooms go only where the table allows', () => {
    const wrong: string[] = [];
    for (const file of files) {
      for (const specifier of file.imports.filter((name) => name.startsWith('.'))) {
        const target = targetOf(file, specifier).split(sep)[0] as string;
        const allowed = target === file.room || ROOMS[file.room]?.imports.includes(target);
        if (!allowed) wrong.push(`${file.path} -> ${specifier}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  test('every npm package has one owner room, and pure rooms use neither packages nor node:', () => {
    const wrong: string[] = [];
    for (const file of files) {
      for (const specifier of file.imports.filter((name) => !name.startsWith('.'))) {
        const builtin = specifier.startsWith('node:');
        const allowed = builtin
          ? ROOMS[file.room]?.pure !== true
          : ROOMS[file.room]?.packages.includes(packageOf(specifier));
        if (!allowed) wrong.push(`${file.path} -> ${specifier}`);
        if (!builtin && builtinModules.includes(specifier)) wrong.push(`${file.path} -> ${specifier} without node:`);
      }
    }
    expect(wrong).toEqual([]);
  });

  test('generated code is imported only inside wire', () => {
    const wrong = files.filter(
      (file) =>
        file.room !== 'wire' && file.imports.some((name) => targetOf(file, name).startsWith(join('wire', 'gen'))),
    );
    expect(wrong.map((file) => file.path)).toEqual([]);
  });

  test('there is no cycle between files', () => {
    const graph = new Map(
      files.map((file) => [
        file.path,
        file.imports.filter((name) => name.startsWith('.')).map((name) => targetOf(file, name)),
      ]),
    );
    const done = new Set<string>();
    const cycles: string[] = [];
    const visit = (path: string, trail: string[]): void => {
      if (trail.includes(path)) {
        cycles.push([...trail.slice(trail.indexOf(path)), path].join(' -> '));
        return;
      }
      if (done.has(path)) return;
      for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
      done.add(path);
    };
    for (const path of graph.keys()) visit(path, []);
    expect(cycles).toEqual([]);
  });
});

describe('files', () => {
  test('every relative import names an existing file', () => {
    const wrong = files.flatMap((file) =>
      file.imports
        .filter((name) => name.startsWith('.') && !existsSync(join(source, targetOf(file, name))))
        .map((name) => `${file.path} -> ${name}`),
    );
    expect(wrong).toEqual([]);
  });

  test('files have at most 500 lines and telling kebab-case names', () => {
    const wrong = written.flatMap((file) => {
      const name = (file.path.split(sep).at(-1) as string).replace(/\.ts$/, '');
      const faults: string[] = [];
      if (file.text.split('\n').length > 501) faults.push('more than 500 lines');
      if (FORBIDDEN_NAMES.has(name)) faults.push('forbidden name');
      if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name)) faults.push('not kebab-case');
      return faults.map((fault) => `${file.path}: ${fault}`);
    });
    expect(wrong).toEqual([]);
  });

  test('lines have at most 120 columns', () => {
    const wrong = written.flatMap((file) =>
      file.text
        .split('\n')
        .map((line, index) => ({ line, where: `${file.path}:${index + 1}` }))
        .filter(({ line }) => line.length > 120)
        .map(({ where }) => where),
    );
    expect(wrong).toEqual([]);
  });

  test('pure rooms read no clock, no random number and no timer', () => {
    const wrong = written
      .filter((file) => ROOMS[file.room]?.pure === true)
      .filter((file) => IMPURE.test(file.text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/\/\/.*$/gm, '')));
    expect(wrong.map((file) => file.path)).toEqual([]);
  });

  test('no default exports, and no re-exports but in the public index', () => {
    const wrong = written.filter(
      (file) =>
        /^export default /m.test(file.text) ||
        (/^export (\*|\{[^}]*\}|type \{[^}]*\}) from/m.test(file.text) && file.path !== join('client', 'index.ts')),
    );
    expect(wrong.map((file) => file.path)).toEqual([]);
  });

  test('what nobody handled ends the process', () => {
    const wrong = written.filter((file) => /\b(unhandledRejection|uncaughtException)\b/.test(file.text));
    expect(wrong.map((file) => file.path)).toEqual([]);
  });

  test('nothing is left to be done', () => {
    const wrong = written.filter((file) => /\b(TODO|FIXME|XXX|HACK)\b/.test(file.text));
    expect(wrong.map((file) => file.path)).toEqual([]);
  });
});

describe('repository', () => {
  test('the table of faults names tests, drills and scripts that there are', () => {
    const table = readFileSync(join(root, 'test', 'FAULTS.md'), 'utf8');
    const drills = readFileSync(join(root, 'test', 'drill', 'README.md'), 'utf8');
    const there = (name: string) =>
      [`${name}.test.ts`, name, join('raft', 'scripts', `${name}.txt`)].some((path) =>
        existsSync(join(root, 'test', path)),
      );
    const names = new Set([...table.matchAll(/`([\w/.-]+)`/g)].map(([, name]) => name as string));
    expect(
      [...names].filter(
        (name) => !there(name) && !drills.includes(`\`${name}\``) && !drills.includes(`drill -- ${name}`),
      ),
    ).toEqual([]);
  });

  test('dependencies are pinned and the lock file names no registry', () => {
    const pack = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<string, Record<string, string>>;
    const versions = Object.entries({ ...pack['dependencies'], ...pack['devDependencies'] });
    expect(versions.filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([]);
    expect(readFileSync(join(root, 'package-lock.json'), 'utf8')).not.toContain('"resolved"');
  });

  test('every dependency belongs to a room', () => {
    const pack = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<string, Record<string, string>>;
    const owned = new Set(Object.values(ROOMS).flatMap((room) => room.packages));
    expect(Object.keys(pack['dependencies'] ?? {}).filter((name) => !owned.has(name))).toEqual([]);
  });
});
