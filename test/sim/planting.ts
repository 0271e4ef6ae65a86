import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { DriverBugs } from './world.ts';

/** Mistakes that real Rafts have made, planted again: a simulation that does not find them would prove nothing. */
export interface Mutant {
  readonly name: string;
  /** Within so many seeds it must be found. */
  readonly within: number;
  /** The length of a run; what needs several leaders in a certain order needs a longer one. */
  readonly ticks?: number;
  readonly plant?: () => void;
  readonly bugs?: DriverBugs;
}

const folder = '../../src/raft';
const replaced: string[] = [];

/** Puts another module in the place of one of the core. */
export function replace<T>(file: string, make: (original: () => Promise<T>) => T | Promise<T>): void {
  const path = `${folder}/${file}`;
  replaced.push(path);
  vi.doMock(path, (original) => make(original as () => Promise<T>) as Partial<object>);
}

/** A test for each mutant, which fails when no seed finds it. */
export function findsPlanted(title: string, mutants: readonly Mutant[]): void {
  describe(title, () => {
    beforeEach(() => vi.resetModules());
    afterEach(() => {
      for (const path of replaced.splice(0)) vi.doUnmock(path);
    });

    test.each(mutants)('$name', async ({ within, ticks = 1000, plant, bugs }) => {
      plant?.();
      const { simulate } = await import('./world.ts');
      let found: unknown;
      for (let seed = 1; seed <= within && found === undefined; seed += 1) {
        try {
          await simulate({ seed, ticks, ...(bugs === undefined ? {} : { bugs }) });
        } catch (error) {
          found = `seed ${seed}: ${(error as Error).message.split('\n')[0]}`;
        }
      }
      expect(found).toBeDefined();
      if (process.env['SHOW_MUTANTS'] !== undefined) console.log(found);
    });
  });
}
