import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Whether this machine can have libraries that are preloaded into processes: Linux with a C compiler. */
export function canPreload(): boolean {
  if (process.platform !== 'linux') return false;
  try {
    execFileSync('gcc', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Compiles `NAME.c` of this folder into `folder`. @returns the path of the library, for LD_PRELOAD */
export function compileLibrary(name: string, folder: string): string {
  mkdirSync(folder, { recursive: true });
  const source = fileURLToPath(new URL(`${name}.c`, import.meta.url));
  const library = join(folder, `${name}.so`);
  execFileSync('gcc', ['-shared', '-fPIC', '-O2', '-Wall', '-Werror', '-o', library, source, '-ldl']);
  return library;
}
