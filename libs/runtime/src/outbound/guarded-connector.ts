import type { LookupAddress } from 'node:dns';
import { lookup as systemLookup } from 'node:dns/promises';
import { isIP, type LookupFunction } from 'node:net';
import { callbackify } from 'node:util';
import { buildConnector } from 'undici';
import { addressRefused } from './outbound-url.js';

/** Every address of a name. */
export type ResolveName = (hostname: string) => Promise<readonly LookupAddress[]>;

export interface GuardedConnectorOptions {
  /** Judges the numeric address that a socket is about to connect to. */
  readonly mayConnect: (address: string) => boolean;
  /** Origins whose addresses are not judged. */
  readonly isTrusted: (origin: string) => boolean;
  readonly resolve?: ResolveName;
  readonly connectTimeout_ms: number;
}

/**
 * Makes undici's connections such that a name is resolved once, the addresses found are judged, and the socket goes
 * to exactly these: a name that changes its address between a check and its use (DNS rebinding) has no such gap.
 * A host that is an address itself skips the lookup, so it is judged first; and the peer is judged once more.
 */
export function guardedConnector(options: GuardedConnectorOptions): buildConnector.connector {
  const { mayConnect, isTrusted, resolve = resolveBySystem, connectTimeout_ms } = options;
  const connector = (judge: (address: string) => boolean): buildConnector.connector =>
    buildConnector({
      timeout: connectTimeout_ms,
      lookup: guardedLookup(resolve, judge),
      autoSelectFamily: true,
    });
  const [connect, connectTrusted] = [connector(mayConnect), connector(() => true)];
  return (target, callback) => {
    if (isTrusted(originOf(target))) return connectTrusted(target, callback);
    const host = target.hostname.replace(/^\[(.*)\]$/, '$1');
    if (isIP(host) !== 0 && !mayConnect(host)) return callback(addressRefused(), null);
    connect(target, (...[error, socket]) => {
      if (error !== null) return callback(error, null);
      if (mayConnect(socket.remoteAddress ?? '')) return callback(null, socket);
      socket.destroy();
      callback(addressRefused(), null);
    });
  };
}

function originOf({ protocol, hostname, port }: buildConnector.Options): string {
  const host = hostname.includes(':') && !hostname.startsWith('[') ? `[${hostname}]` : hostname;
  return new URL(`${protocol}//${host}${port === '' ? '' : `:${port}`}`).origin;
}

function guardedLookup(resolve: ResolveName, mayConnect: (address: string) => boolean): LookupFunction {
  const judged = callbackify(async (hostname: string): Promise<LookupAddress[]> => {
    const addresses = await resolve(hostname);
    // One closed address among open ones is no accident either.
    if (!addresses.every(({ address }) => mayConnect(address))) throw addressRefused();
    return [...addresses];
  });
  return (hostname, { all }, callback) => {
    judged(hostname, (error, addresses) => {
      const [first] = addresses ?? [];
      if (error) callback(error, '', 4);
      else if (first === undefined) callback(notFound(hostname), '', 4);
      else if (all === true) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}

/** The system's resolver, so that /etc/hosts and search domains are judged as they would be used. */
const resolveBySystem: ResolveName = (hostname) => systemLookup(hostname, { all: true, order: 'ipv4first' });

function notFound(hostname: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`no address for ${hostname}`), { code: 'ENOTFOUND' });
}
