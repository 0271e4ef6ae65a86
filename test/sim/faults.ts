import { type Random, randomInt } from '../../src/base/random.ts';

/** One tick of a node with a true clock, in units of simulated time. */
export const TICK = 10;

/**
 * What goes wrong in one run; each kind is on in about half of the seeds. Times in units, chances per message or per
 * tick.
 */
export interface Faults {
  readonly nodes: number;
  readonly delayMin: number;
  readonly delayMean: number;
  readonly ordered: boolean;
  readonly loss: number;
  readonly duplicate: number;
  readonly straggler: number;
  readonly partition: number;
  readonly oneWay: boolean;
  readonly partitionMean: number;
  readonly crash: number;
  readonly downMean: number;
  readonly pause: number;
  readonly pauseMean: number;
  readonly diskMean: number;
  readonly diskStall: number;
  /** Ticks of the nodes differ by up to this factor. */
  readonly skew: number;
  /** Broken connections are noticed. */
  readonly breaksNoticed: boolean;
  /** Chance that a driver cuts an append to a shorter one. */
  readonly cut: number;
  /** Chance that a crashed state machine is found older than it was. */
  readonly rollback: number;
  readonly transfer: number;
  /** Time between client requests. */
  readonly think: number;
}

export function drawFaults(random: Random): Faults {
  const half = <T>(on: T, off: T): T => (random.next() < 0.5 ? on : off);
  return {
    nodes: half(3, 5),
    delayMin: randomInt(random, 0, TICK),
    delayMean: half(2, randomInt(random, 2, 5 * TICK)),
    ordered: half(true, false),
    loss: half(random.next() * 0.3, 0),
    duplicate: half(random.next() * 0.3, 0),
    straggler: half(0.01, 0),
    partition: half(0.004 + random.next() * 0.01, 0),
    oneWay: half(true, false),
    partitionMean: randomInt(random, 10, 80) * TICK,
    crash: half(0.001 + random.next() * 0.006, 0),
    downMean: randomInt(random, 5, 60) * TICK,
    pause: half(0.002, 0),
    pauseMean: randomInt(random, 2, 40) * TICK,
    diskMean: half(1, randomInt(random, 1, 3 * TICK)),
    diskStall: half(0.005, 0),
    skew: half(1, 1 + random.next()),
    breaksNoticed: half(true, false),
    cut: half(0.2, 0),
    rollback: half(0.5, 0),
    transfer: half(0.004, 0),
    think: randomInt(random, 3, 30),
  };
}

/** Nothing goes wrong any more. */
export function healed(faults: Faults): Faults {
  const none = {
    loss: 0,
    duplicate: 0,
    straggler: 0,
    partition: 0,
    crash: 0,
    pause: 0,
    diskStall: 0,
    cut: 0,
    transfer: 0,
  };
  return { ...faults, ...none, delayMin: 0, delayMean: 2, diskMean: 1 };
}

/** A random delay with an exponential distribution. */
export function exponential(random: Random, mean: number): number {
  return Math.floor(-Math.log(1 - random.next()) * mean);
}
