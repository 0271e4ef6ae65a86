// Preloaded into a process of Node: SIGUSR2 blocks its main thread for five seconds, as a long computation does.
const BLOCKED_MS = 5000;
process.on('SIGUSR2', () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BLOCKED_MS));
