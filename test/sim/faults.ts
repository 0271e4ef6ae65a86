import { type Random, randomInt } from '../../src/base/random.ts';

/** One tick of a node with a true clock, in units of simulated time. */
export const TICK = 10;

/**
 * What goes wrong in one run; each kind is on in about half of the seeds. Times in units, chances per message, per
 * write or per tick.
 */
export interface Faults {
  readonly nodes: number;
  readonly delayMin: number;
  readonly delayMean: number;
  readonly ordered: boolean;
  readonly loss: number;
  readonly duplicate: number;
  /** Chance that with a message an older one to the same receiver arrives again. */
  readonly replay: number;
  /** Chance that a new leader hears again what it was told in earlier terms. */
  readonly echo: number;
  readonly straggler: number;
  /** Chance that what a cut or a dead receiver should have swallowed arrives all the same, an election timeout later. */
  readonly limbo: number;
  /** Messages on their way between two nodes; what is beyond is lost. */
  readonly capacity: number;
  /** Chance that a path stands still for a while; what is on it arrives afterwards. */
  readonly clog: number;
  readonly partition: number;
  readonly oneWay: boolean;
  /** Partitions may also be rings, in which each node still reaches a majority. */
  readonly rings: boolean;
  readonly partitionMean: number;
  readonly crash: number;
  /** Chance that a process dies while its write is under way, and that it dies between its end and what waits for it. */
  readonly crashAtWrite: number;
  readonly crashAll: number;
  /** Chance that a leader dies while its first entry, or a change of the members, is being written. */
  readonly crashLeader: number;
  /** Chance that a process that was started again dies within two election timeouts. */
  readonly crashYoung: number;
  readonly downMean: number;
  readonly pause: number;
  readonly pauseMean: number;
  /** Chance of a pause of up to 60 election timeouts. */
  readonly longPause: number;
  readonly diskMean: number;
  readonly diskStall: number;
  /** Ticks of the nodes are shorter or longer by up to this factor. */
  readonly skew: number;
  /** Chance that a node's clock stands still for up to three election timeouts. */
  readonly missedTicks: number;
  /** Broken connections are noticed. */
  readonly breaksNoticed: boolean;
  /** Chance that a driver cuts an append to a shorter one. */
  readonly cut: number;
  /** Chance that a crashed state machine is found older than it was. */
  readonly rollback: number;
  readonly transfer: number;
  /** Chance that for a while somebody asks for a transfer in every tick, often to a dead or lagging node. */
  readonly transferStorm: number;
  /** Chance, for each member after applying, that it forgets the beginning of its log, all but up to `keep` entries. */
  readonly compaction: number;
  readonly keep: number;
  readonly snapshotMean: number;
  /** Chance that a snapshot cannot be fetched. */
  readonly snapshotLoss: number;
  /** Chance, for each member, that somebody asks it to change the membership. */
  readonly churn: number;
  /** Chance that a disk is lost for ever, where a majority survives it. */
  readonly wipe: number;
  /** Chance that a crash leaves any part of the write in flight. */
  readonly torn: number;
  /** Chance that a disk is damaged while nobody uses it, where a majority survives its loss. */
  readonly damage: number;
  /** Chance that a client proposes many times as much as usual at once. */
  readonly overload: number;
  /** Leaders read by leases; clocks run nearly alike then, whatever `skew` says. */
  readonly leases: boolean;
  /** Chance that a leader with a lease is cut off, and all others know it, or are started again at this moment. */
  readonly temptation: number;
  /** Time between client requests. */
  readonly think: number;
}

/** How each kind of fault is switched off. */
const OFF = {
  delay: { delayMin: 0, delayMean: 2 },
  loss: { loss: 0 },
  duplicate: { duplicate: 0 },
  replay: { replay: 0 },
  echo: { echo: 0 },
  straggler: { straggler: 0 },
  limbo: { limbo: 0 },
  capacity: { capacity: 1_000_000 },
  clog: { clog: 0 },
  partition: { partition: 0 },
  oneWay: { oneWay: false },
  ring: { rings: false },
  crash: { crash: 0 },
  crashAtWrite: { crashAtWrite: 0 },
  crashAll: { crashAll: 0 },
  crashLeader: { crashLeader: 0 },
  crashYoung: { crashYoung: 0 },
  pause: { pause: 0 },
  longPause: { longPause: 0 },
  slowDisk: { diskMean: 1 },
  diskStall: { diskStall: 0 },
  skew: { skew: 1 },
  missedTicks: { missedTicks: 0 },
  cut: { cut: 0 },
  rollback: { rollback: 0 },
  transfer: { transfer: 0 },
  transferStorm: { transferStorm: 0 },
  compaction: { compaction: 0 },
  snapshotLoss: { snapshotLoss: 0 },
  churn: { churn: 0 },
  wipe: { wipe: 0 },
  torn: { torn: 0 },
  damage: { damage: 0 },
  overload: { overload: 0 },
  leases: { leases: false },
  temptation: { temptation: 0 },
} satisfies Record<string, Partial<Faults>>;

export type FaultKind = keyof typeof OFF;

export const FAULT_KINDS = Object.keys(OFF) as readonly FaultKind[];

/** @param disks Draws what goes wrong with bytes on disks: these cost time, and so are on in fewer seeds. */
export function drawFaults(random: Random, disks: Random): Faults {
  const half = <T>(on: T, off: T): T => (random.next() < 0.5 ? on : off);
  const bytes = disks.next() < 0.4;
  return {
    nodes: half(3, 5),
    delayMin: randomInt(random, 0, TICK),
    delayMean: half(2, randomInt(random, 2, 5 * TICK)),
    ordered: half(true, false),
    loss: half(random.next() * 0.3, 0),
    duplicate: half(random.next() * 0.3, 0),
    replay: half(random.next() * 0.2, 0),
    echo: half(random.next(), 0),
    straggler: half(0.01, 0),
    limbo: half(random.next(), 0),
    capacity: half(randomInt(random, 2, 20), OFF.capacity.capacity),
    clog: half(0.01, 0),
    partition: half(0.004 + random.next() * 0.01, 0),
    oneWay: half(true, false),
    rings: half(true, false),
    partitionMean: randomInt(random, 10, 80) * TICK,
    crash: half(0.001 + random.next() * 0.006, 0),
    crashAtWrite: half(0.001 + random.next() * 0.01, 0),
    crashAll: half(0.002, 0),
    crashLeader: half(random.next() * 0.8, 0),
    crashYoung: half(random.next() * 0.8, 0),
    downMean: half(randomInt(random, 1, 5), randomInt(random, 5, 60)) * TICK,
    pause: half(0.002, 0),
    pauseMean: randomInt(random, 2, 40) * TICK,
    longPause: half(0.0005, 0),
    diskMean: half(1, randomInt(random, 1, 3 * TICK)),
    diskStall: half(0.005, 0),
    skew: half(1, 2),
    missedTicks: half(0.01, 0),
    breaksNoticed: half(true, false),
    cut: half(0.2, 0),
    rollback: half(0.5, 0),
    transfer: half(0.004, 0),
    transferStorm: half(0.003, 0),
    compaction: half(0.02 + random.next() * 0.3, 0),
    keep: half(0, randomInt(random, 0, 30)),
    snapshotMean: half(randomInt(random, 1, 5), randomInt(random, 5, 60)) * TICK,
    snapshotLoss: half(0.2, 0),
    churn: half(0.002 + random.next() * 0.02, 0),
    wipe: half(0.002, 0),
    torn: bytes && disks.next() < 0.7 ? 0.2 : 0,
    damage: bytes && disks.next() < 0.7 ? 0.002 : 0,
    overload: half(random.next() * 0.1, 0),
    think: randomInt(random, 3, 30),
    leases: half(true, false),
    temptation: half(0.05, 0),
  };
}

/** The same run, in which these kinds do not happen. */
export function without(faults: Faults, kinds: readonly FaultKind[]): Faults {
  let rest = faults;
  for (const kind of kinds) rest = { ...rest, ...OFF[kind] };
  return rest;
}

/** What does not keep a cluster from working. */
const STAYING: readonly FaultKind[] = ['skew', 'rollback', 'compaction', 'leases'];

/** Nothing goes wrong any more; only clocks stay as they are, and a dead state machine as old as it was. */
export function healed(faults: Faults): Faults {
  return without(
    faults,
    FAULT_KINDS.filter((kind) => !STAYING.includes(kind)),
  );
}

/** A random delay with an exponential distribution. */
export function exponential(random: Random, mean: number): number {
  return Math.floor(-Math.log(1 - random.next()) * mean);
}
