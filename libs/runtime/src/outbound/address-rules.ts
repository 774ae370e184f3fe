import { BlockList, isIP } from 'node:net';

/** Ranges that no untrusted URL may reach: what IANA's special-purpose registries do not call globally reachable. */
const CLOSED_IPV4: readonly (readonly [string, number])[] = [
  ['0.0.0.0', 8], // this network
  ['10.0.0.0', 8], // private
  ['100.64.0.0', 10], // carrier-grade NAT; also Alibaba's metadata service
  ['127.0.0.0', 8], // loopback
  ['168.63.129.16', 32], // Azure's host agent: a public address that only its machines reach
  ['169.254.0.0', 16], // link-local; the metadata services of most clouds
  ['172.16.0.0', 12], // private
  ['192.0.0.0', 24], // protocol assignments; also Oracle's metadata service
  ['192.0.2.0', 24], // documentation
  ['192.88.99.0', 24], // 6to4 relays
  ['192.168.0.0', 16], // private
  ['198.18.0.0', 15], // benchmarks
  ['198.51.100.0', 24], // documentation
  ['203.0.113.0', 24], // documentation
  ['224.0.0.0', 4], // multicast
  ['240.0.0.0', 4], // reserved, broadcast
];

/** Closed parts of 2000::/3, outside of which nothing is globally reachable. */
const CLOSED_GLOBAL_IPV6: readonly (readonly [string, number])[] = [
  ['2001::', 23], // protocol assignments: Teredo, ORCHID, benchmarks
  ['2001:db8::', 32], // documentation
  ['2002::', 16], // 6to4: carries an IPv4 address of the sender's choice
  ['3fff::', 20], // documentation
];

/** IPv6 addresses that are an IPv4 address in their last 32 bits. */
const CARRIES_IPV4: readonly (readonly [string, number])[] = [
  ['::ffff:0:0', 96], // mapped
  ['64:ff9b::', 96], // NAT64
];

const closedIpv4 = blockList(CLOSED_IPV4, 'ipv4');
const closedGlobalIpv6 = blockList(CLOSED_GLOBAL_IPV6, 'ipv6');
const globalIpv6 = blockList([['2000::', 3]], 'ipv6');

/** Whether a numeric address is one of the public internet. Text that is no address is not. */
export function isPublicAddress(address: string): boolean {
  if (isIP(address) === 4) return !closedIpv4.check(address, 'ipv4');
  if (isIP(address) !== 6) return false;
  const plain = address.replace(/%.*$/, ''); // without its zone
  const bytes = ipv6Bytes(plain);
  for (const [prefix, bits] of CARRIES_IPV4) {
    if (ipv6Bytes(prefix).compare(bytes, 0, bits / 8, 0, bits / 8) === 0)
      return isPublicAddress(bytes.subarray(12).join('.'));
  }
  return globalIpv6.check(plain, 'ipv6') && !closedGlobalIpv6.check(plain, 'ipv6');
}

function blockList(ranges: readonly (readonly [string, number])[], family: 'ipv4' | 'ipv6'): BlockList {
  const list = new BlockList();
  for (const [network, bits] of ranges) list.addSubnet(network, bits, family);
  return list;
}

/** The 16 bytes of a well-formed IPv6 address, whose end may be written as IPv4. */
function ipv6Bytes(address: string): Buffer {
  const [head = '', tail] = address.split('::');
  const front = groups(head);
  const back = tail === undefined ? [] : groups(tail);
  const zeros = Array.from({ length: 8 - front.length - back.length }, () => 0);
  const bytes = Buffer.alloc(16);
  [...front, ...zeros, ...back].forEach((group, index) => {
    bytes.writeUInt16BE(group, index * 2);
  });
  return bytes;
}

function groups(text: string): number[] {
  return text
    .split(':')
    .filter((part) => part !== '')
    .flatMap((part) => {
      if (!part.includes('.')) return [Number.parseInt(part, 16)];
      const [a = 0, b = 0, c = 0, d = 0] = part.split('.').map(Number);
      return [a * 256 + b, c * 256 + d];
    });
}
