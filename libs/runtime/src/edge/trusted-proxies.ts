import { BlockList, isIP } from 'node:net';
import type { EdgeOptions } from './edge-options.js';

const PRIVATE: readonly string[] = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'];
const NAMES: Readonly<Record<string, readonly string[]>> = {
  loopback: ['127.0.0.0/8', '::1/128'],
  private: PRIVATE,
};

/** `false`, `2` (hops), or `loopback, private, 10.0.0.1, 192.0.2.0/24`; undefined when it is none of these. */
export function parseTrustProxy(text: string): EdgeOptions['trustProxy'] | undefined {
  if (['false', 'no', 'off', '0'].includes(text.toLowerCase())) return false;
  if (/^[1-9]\d?$/.test(text)) return Number(text);
  const ranges = text.split(',').flatMap((part) => NAMES[part.trim().toLowerCase()] ?? [part.trim()]);
  return ranges.every(isRange) ? ranges : undefined;
}

function isRange(text: string): boolean {
  const [address = '', bits, ...rest] = text.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
}

/** Whether connections from an address are a trusted proxy's, and so those of many callers. */
export function proxyCheck(trustProxy: EdgeOptions['trustProxy']): (address: string) => boolean {
  if (trustProxy === false) return () => false;
  if (typeof trustProxy === 'number') return () => true; // whoever connects is the first hop
  const list = new BlockList();
  for (const range of trustProxy) {
    const [address = '', bits] = range.split('/');
    const family = isIP(address) === 4 ? 'ipv4' : 'ipv6';
    list.addSubnet(address, Number(bits ?? (family === 'ipv4' ? 32 : 128)), family);
  }
  return (address) => isIP(address) !== 0 && list.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6');
}
