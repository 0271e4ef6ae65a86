import { text } from '../host/config/option.ts';

/** Who may talk to a cluster. */
export const securityOptions = Object.freeze({
  token: text(
    {
      key: 'security.token',
      doc: 'Secret that every process of the cluster and every client shows; empty lets everybody in, on loopback only',
      fallback: '',
      secret: true,
    },
    /^[\x21-\x7e]*$/,
    'text of printable ASCII characters without spaces',
  ),
});
