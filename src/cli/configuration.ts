import { isAbsolute, join } from 'node:path';
import { clientOptions } from '../client/options.ts';
import type { ClientSettings } from '../client/settings.ts';
import { type Config, loadConfig } from '../host/config/load.ts';
import type { OptionSet } from '../host/config/option.ts';
import { journalOptions, quorumOptions, serviceOptions } from '../master/options.ts';
import { securityOptions } from '../wire/options.ts';
import { workerOptions } from '../worker/options.ts';
import { LOCAL_FOLDER, readPlaces } from './local-files.ts';
import { cliOptions } from './options.ts';
import { pairs } from './pairs.ts';
import type { World } from './world.ts';

/** Options that every command has. */
export interface GlobalFlags {
  readonly master?: string;
  readonly user?: string;
  readonly config?: string;
  /** `key=value`, any number of times. */
  readonly set?: readonly string[];
  readonly json?: boolean;
}

/** The options of all rooms: what a configuration file may hold, whatever reads it. */
const ALL_OPTIONS: readonly OptionSet[] = [
  cliOptions,
  clientOptions,
  securityOptions,
  quorumOptions,
  journalOptions,
  serviceOptions,
  workerOptions,
];

const FILE_NAME = 'sluice.yaml';
/** A variable that is no option. */
const FILE_VARIABLE = 'SLUICE_CONFIG';

/** Joins file, environment and flags. @throws SluiceError INVALID_ARGUMENT */
export function configure(world: World, flags: GlobalFlags): Config {
  const { environment, folder } = world;
  const named = flags.config ?? environment[FILE_VARIABLE];
  const path = named ?? FILE_NAME;
  return loadConfig(ALL_OPTIONS, {
    file: { path: isAbsolute(path) ? path : join(folder, path), named: named !== undefined },
    environment,
    flags: {
      ...pairs(flags.set ?? []),
      ...(flags.master === undefined ? {} : { [clientOptions.masters.key]: flags.master }),
      ...(flags.user === undefined ? {} : { [clientOptions.user.key]: flags.user }),
    },
    reservedVariables: [FILE_VARIABLE],
  });
}

/** What a client needs to know; without configured masters those of the local cluster in this folder. */
export function clientSettings(world: World, config: Config): ClientSettings {
  const settings = config.values(clientOptions);
  if (!isDefault(config, clientOptions.masters.key)) return settings;
  const places = readPlaces(join(world.folder, LOCAL_FOLDER));
  if (places === undefined) return settings;
  return { ...settings, masters: places.masters.map(({ port }) => `127.0.0.1:${port}`) };
}

/** Whether nobody has set the option. */
export function isDefault(config: Config, key: string): boolean {
  return config.entries().find((entry) => entry.key === key)?.source === 'default';
}
