import { isIP } from 'node:net';
import { isPublicAddress } from './address-rules.js';
import { OutboundError } from './outbound-error.js';

const MAX_URL_CHARS = 4096;

export interface OutboundUrlRules {
  /** Private addresses and plain http are taken too. */
  readonly allowPrivate: boolean;
}

/**
 * The URL if it may be called as far as its text tells: `https` (`http` only where private addresses are allowed),
 * no credentials, no private address written as such (decimal, octal and hex forms are normalised by the parser).
 * What a name resolves to is judged when the connection is made. Throws OutboundError.
 */
export function parseOutboundUrl(text: string, { allowPrivate }: OutboundUrlRules): URL {
  if (text.length > MAX_URL_CHARS) throw refused(`is longer than ${MAX_URL_CHARS} characters`);
  if (!URL.canParse(text)) throw refused('is not a valid URL');
  const url = new URL(text);
  const schemes = allowPrivate ? ['https:', 'http:'] : ['https:'];
  if (!schemes.includes(url.protocol)) throw refused('must start with https://');
  if (url.username !== '' || url.password !== '') throw refused('must not hold a user name or password');
  url.hash = '';
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const isLocalName = /(^|\.)(localhost|local|internal)\.?$/.test(host);
  if (!allowPrivate && (isLocalName || (isIP(host) !== 0 && !isPublicAddress(host)))) throw addressRefused();
  return url;
}

export function addressRefused(): OutboundError {
  return new OutboundError(
    'address_refused',
    'The URL leads to an address that is not public; the operator can allow these by ALLOW_PRIVATE_IMPORTS.',
  );
}

function refused(why: string): OutboundError {
  return new OutboundError('url_refused', `The URL ${why}.`);
}
