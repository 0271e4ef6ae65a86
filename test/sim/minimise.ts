import { FAULT_KINDS } from './faults.ts';
import { SimulationFailure, type SimulationOptions, type SimulationReport, simulate } from './world.ts';

/** Runs a simulation. @returns what broke, or the report of a run in which nothing did. */
export async function attempt(options: SimulationOptions): Promise<SimulationFailure | SimulationReport> {
  try {
    return await simulate(options);
  } catch (error) {
    if (error instanceof SimulationFailure) return error;
    throw error;
  }
}

/**
 * A smaller run that fails in the same way: with fewer kinds of faults, then with fewer ticks. To fail in the same way
 * is to break the same promise, whichever nodes, terms and indexes are in it.
 */
export async function minimise(failure: SimulationFailure): Promise<SimulationFailure> {
  let least = failure;
  const holds = async (change: Partial<SimulationOptions>): Promise<boolean> => {
    const result = await attempt({ ...least.options, ...change });
    if (!(result instanceof SimulationFailure) || wayOf(result) !== wayOf(failure)) return false;
    least = result;
    return true;
  };
  for (const kind of FAULT_KINDS) await holds({ without: [...(least.options.without ?? []), kind] });
  let cut = Math.floor(least.options.ticks / 2);
  while (cut >= 1) {
    const ticks = least.options.ticks - cut;
    if (ticks < 1 || !(await holds({ ticks }))) cut = Math.floor(cut / 2);
  }
  return least;
}

function wayOf({ promise }: SimulationFailure): string {
  // The number of the invariant stays, all others vary from run to run.
  return promise.replace(/(?<!^I)\b(n?\d+|undefined)\b/g, '#');
}
