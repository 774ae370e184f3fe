import { describe, expect, it } from 'vitest';
import { parseOutboundUrl } from './outbound-url.js';

const strict = (url: string) => () => parseOutboundUrl(url, { allowPrivate: false });
const lax = (url: string) => parseOutboundUrl(url, { allowPrivate: true });

describe('parseOutboundUrl', () => {
  it.each([
    'https://127.0.0.1/x',
    'https://2130706433/', // decimal
    'https://0x7f000001/', // hex
    'https://0x7f.1/', // hex, short
    'https://017700000001/', // octal
    'https://0177.0.0.1/',
    'https://127.1/',
    'https://0/',
    'https://[::1]/',
    'https://[::ffff:127.0.0.1]/',
    'https://[0:0:0:0:0:ffff:7f00:1]/',
    'https://169.254.169.254/latest/meta-data/',
    'https://①②⑦.⓪.⓪.①/', // full-width digits
    'https://localhost/',
    'https://LOCALHOST./',
    'https://api.localhost/',
    'https://metadata.google.internal/',
    'https://printer.local/',
  ])('refuses %s as an address that is not public', (url) => {
    expect(strict(url)).toThrow(expect.objectContaining({ fault: 'address_refused' }));
  });

  it.each([
    'http://example.com/',
    'ftp://example.com/',
    'file:///etc/passwd',
    'https://user:secret@example.com/',
    'https://example.com@127.0.0.1/',
    'https://user@example.com/',
    'example.com',
    'https://',
    `https://example.com/${'x'.repeat(5000)}`,
  ])('refuses %s as a URL', (url) => {
    expect(strict(url)).toThrow(expect.objectContaining({ fault: 'url_refused' }));
  });

  it('takes public URLs, without their fragment', () => {
    expect(strict('https://example.com:8443/a?b=c#d')().href).toBe('https://example.com:8443/a?b=c');
    expect(strict('https://1.1.1.1/')().href).toBe('https://1.1.1.1/');
  });

  it('takes private addresses and plain http where the operator allows them, but never credentials', () => {
    expect(lax('http://127.0.0.1:9000/a').href).toBe('http://127.0.0.1:9000/a');
    expect(() => lax('http://a:b@127.0.0.1/')).toThrow('user name or password');
    expect(() => lax('file:///etc/passwd')).toThrow('https://');
  });
});
