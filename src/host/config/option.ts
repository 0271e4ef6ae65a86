import { parseBytes, parseDuration } from '../../base/units.ts';
import { SluiceError } from '../../model/errors.ts';

/** One setting: a room declares it, file, environment and flag give it a value. */
export interface Option<T> {
  /** Dotted lower kebab: `master.raft.election-timeout`. */
  readonly key: string;
  /** What it decides, in one sentence. */
  readonly doc: string;
  /** The default as a person would write it. */
  readonly fallback: string;
  /** What a value looks like, for help and errors: `size`, `duration`, `integer`, … */
  readonly type: string;
  /** Values of secret options are masked when shown. */
  readonly secret: boolean;
  /** @throws SluiceError INVALID_ARGUMENT that names the key, the value and what is wanted. */
  parse(text: string): T;
}

export interface OptionSpec {
  readonly key: string;
  readonly doc: string;
  readonly fallback: string;
  readonly secret?: boolean;
}

interface Limits {
  readonly min?: number;
  readonly max?: number;
}

function option<T>(spec: OptionSpec, type: string, read: (text: string) => T | undefined): Option<T> {
  return Object.freeze({
    key: spec.key,
    doc: spec.doc,
    fallback: spec.fallback,
    secret: spec.secret ?? false,
    type,
    parse(text: string): T {
      const value = read(text);
      if (value !== undefined) return value;
      const shown = spec.secret === true ? '' : `, got ${JSON.stringify(text)}`;
      throw new SluiceError('INVALID_ARGUMENT', `${spec.key} must be a ${type}${shown}`);
    },
  });
}

function within(value: number | undefined, limits: Limits): number | undefined {
  if (value === undefined || value < (limits.min ?? 0) || value > (limits.max ?? Number.MAX_SAFE_INTEGER))
    return undefined;
  return value;
}

function range(limits: Limits): string {
  if (limits.min === undefined && limits.max === undefined) return '';
  return ` (${limits.min ?? 0} to ${limits.max ?? 'any'})`;
}

/** A size: `64MiB`, `10GB`, `4096`. */
export function bytes(spec: OptionSpec, limits: Limits = {}): Option<number> {
  return option(spec, `size such as 64MiB${range(limits)}`, (text) => within(parseBytes(text), limits));
}

/** A duration in milliseconds: `500ms`, `10s`, `1h`; `-1` where `never` is allowed. */
export function duration(spec: OptionSpec, limits: Limits & { readonly never?: boolean } = {}): Option<number> {
  const type = `duration such as 10s${range(limits)}${limits.never ? ', or never' : ''}`;
  return option(spec, type, (text) => {
    if (limits.never && (text === 'never' || text === '-1')) return -1;
    return within(parseDuration(text), limits);
  });
}

/** A whole number. */
export function integer(spec: OptionSpec, limits: Limits = {}): Option<number> {
  return option(spec, `whole number${range(limits)}`, (text) =>
    /^\d+$/.test(text) ? within(Number(text), limits) : undefined,
  );
}

/** Any text; refused when it does not match `pattern`. */
export function text(spec: OptionSpec, pattern = /.*/s, wanted = 'text'): Option<string> {
  return option(spec, wanted, (value) => (pattern.test(value) ? value : undefined));
}

/** `true` or `false`. */
export function flag(spec: OptionSpec): Option<boolean> {
  return option(spec, 'true or false', (value) => (value === 'true' ? true : value === 'false' ? false : undefined));
}

/** One of a few words. */
export function choice<W extends string>(spec: OptionSpec, words: readonly W[]): Option<W> {
  return option(spec, `word of ${words.join(', ')}`, (value) => words.find((word) => word === value));
}

/** Words separated by commas; empty text is an empty list. */
export function list(spec: OptionSpec): Option<readonly string[]> {
  return option(spec, 'list separated by commas', (value) =>
    value
      .split(',')
      .map((word) => word.trim())
      .filter((word) => word !== ''),
  );
}

/** Options of a room under the names that its code uses. */
export type OptionSet = Readonly<Record<string, Option<unknown>>>;

/** The values of an option set. */
export type ValuesOf<S extends OptionSet> = { readonly [K in keyof S]: S[K] extends Option<infer T> ? T : never };
