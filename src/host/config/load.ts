import { assert } from '../../base/assert.ts';
import { SluiceError } from '../../model/errors.ts';
import { readConfigFile } from './file.ts';
import { nearest } from './nearest.ts';
import type { Option, OptionSet, ValuesOf } from './option.ts';

/** Where a value came from; the first of flag, environment, file, default that has one wins. */
type ConfigSource = 'flag' | 'environment' | 'file' | 'default';

export interface ConfigInputs {
  /** A missing file is an error only when the user named it. */
  readonly file?: { readonly path: string; readonly named: boolean };
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Dotted keys as `--set key=value` or a command's own flags gave them. */
  readonly flags?: Readonly<Record<string, string>>;
  /** `SLUICE_…` variables that are no options, e.g. the one that names the file. */
  readonly reservedVariables?: readonly string[];
}

/** One setting as `sluice config list` shows it. */
export interface ConfigEntry {
  readonly key: string;
  /** The value as written; masked when it is secret. */
  readonly value: string;
  readonly source: ConfigSource;
  readonly fallback: string;
  readonly type: string;
  readonly doc: string;
}

interface Setting {
  readonly option: Option<unknown>;
  readonly written: string;
  readonly parsed: unknown;
  readonly source: ConfigSource;
}

/** The settings of a process: complete, checked, and unchanged for its life. */
export class Config {
  readonly #settings: ReadonlyMap<string, Setting>;

  constructor(settings: ReadonlyMap<string, Setting>) {
    this.#settings = settings;
  }

  /** The values of one room's options, under the names that the room's code uses. */
  values<S extends OptionSet>(options: S): ValuesOf<S> {
    const values: Record<string, unknown> = {};
    for (const [name, option] of Object.entries(options)) {
      const setting = this.#settings.get(option.key);
      assert(setting?.option === option, `Option ${option.key} was not given to loadConfig`);
      values[name] = setting.parsed;
    }
    return Object.freeze(values) as ValuesOf<S>;
  }

  /** All settings in the order of their keys. */
  entries(): readonly ConfigEntry[] {
    const sorted = [...this.#settings.values()].sort((a, b) => (a.option.key < b.option.key ? -1 : 1));
    return sorted.map(({ option, written, source }) => ({
      key: option.key,
      value: option.secret && written !== '' ? '******' : written,
      source,
      fallback: option.fallback,
      type: option.type,
      doc: option.doc,
    }));
  }
}

/** Name of the environment variable that sets `key`. */
export function variableOf(key: string): string {
  return `SLUICE_${key.toUpperCase().replaceAll(/[.-]/g, '_')}`;
}

/**
 * Joins the option sets of all rooms and gives each option its value.
 * @throws SluiceError INVALID_ARGUMENT for an unknown key in any source, naming the nearest known one, and for a bad
 * value.
 */
export function loadConfig(sets: readonly OptionSet[], inputs: ConfigInputs): Config {
  const options = new Map<string, Option<unknown>>();
  for (const option of sets.flatMap((set) => Object.values(set))) {
    assert(!options.has(option.key) || options.get(option.key) === option, `Option ${option.key} is declared twice`);
    options.set(option.key, option);
  }
  const flags = known(new Map(Object.entries(inputs.flags ?? {})), options, 'option');
  const environment = fromEnvironment(inputs, options);
  const file = known(fromFile(inputs), options, `key in ${inputs.file?.path ?? ''}`);
  const settings = new Map<string, Setting>();
  for (const option of options.values()) {
    const [written, source] = choose(option, flags, environment, file);
    settings.set(option.key, { option, written, source, parsed: parsed(option, written, source) });
  }
  return new Config(settings);
}

type Given = ReadonlyMap<string, string>;

function choose(option: Option<unknown>, flags: Given, environment: Given, file: Given): [string, ConfigSource] {
  const given: readonly [string | undefined, ConfigSource][] = [
    [flags.get(option.key), 'flag'],
    [environment.get(option.key), 'environment'],
    [file.get(option.key), 'file'],
  ];
  for (const [written, source] of given) if (written !== undefined) return [written, source];
  return [option.fallback, 'default'];
}

function parsed(option: Option<unknown>, written: string, source: ConfigSource): unknown {
  try {
    return option.parse(written);
  } catch (thrown) {
    assert(source !== 'default', `The default of ${option.key} is not valid: ${String(thrown)}`);
    const where =
      source === 'environment' ? ` (from ${variableOf(option.key)})` : source === 'file' ? ' (from the file)' : '';
    throw new SluiceError('INVALID_ARGUMENT', `${SluiceError.from(thrown).message}${where}`, { cause: thrown });
  }
}

function fromFile(inputs: ConfigInputs): Given {
  if (inputs.file === undefined) return new Map();
  const found = readConfigFile(inputs.file.path);
  if (found === undefined && inputs.file.named)
    throw new SluiceError('INVALID_ARGUMENT', `Configuration file ${inputs.file.path} does not exist`);
  return found ?? new Map();
}

function fromEnvironment(inputs: ConfigInputs, options: ReadonlyMap<string, Option<unknown>>): Given {
  const keys = new Map<string, string>();
  for (const key of options.keys()) {
    const variable = variableOf(key);
    assert(!keys.has(variable), `Options ${key} and ${keys.get(variable)} share the variable ${variable}`);
    keys.set(variable, key);
  }
  const found = new Map<string, string>();
  for (const [variable, value] of Object.entries(inputs.environment ?? {})) {
    if (value === undefined || !variable.startsWith('SLUICE_') || inputs.reservedVariables?.includes(variable))
      continue;
    const key = keys.get(variable);
    if (key === undefined) throw unknown('environment variable', variable, keys.keys());
    found.set(key, value);
  }
  return found;
}

function known(given: Given, options: ReadonlyMap<string, Option<unknown>>, what: string): Given {
  for (const key of given.keys()) if (!options.has(key)) throw unknown(what, key, options.keys());
  return given;
}

function unknown(what: string, key: string, candidates: Iterable<string>): SluiceError {
  const meant = nearest(key, candidates);
  const hint = meant === undefined ? '' : `: did you mean ${meant}?`;
  return new SluiceError('INVALID_ARGUMENT', `Unknown ${what} ${key}${hint}`);
}
