import { SluiceError } from '../model/errors.ts';

/** Whether only this machine can reach `host`. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host);
}

/** Refuses to serve other machines without a token. @throws SluiceError INVALID_ARGUMENT */
export function checkExposure(host: string, token: string | undefined): void {
  if (isLoopback(host) || (token !== undefined && token !== '')) return;
  throw new SluiceError(
    'INVALID_ARGUMENT',
    `Listening on ${host} would let everybody in: set security.token, or listen on 127.0.0.1`,
  );
}
