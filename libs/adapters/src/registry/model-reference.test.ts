import { describe, expect, it } from 'vitest';
import { parseModelReference } from './model-reference.js';
import { chooseRoute, stickyPoint } from '../aliases/route-choice.js';

describe('parseModelReference', () => {
  it.each([
    ['support', { adapter: 'support', selector: { kind: 'default' } }],
    ['support@3', { adapter: 'support', selector: { kind: 'version', version: 3 } }],
    ['support:staging', { adapter: 'support', selector: { kind: 'alias', alias: 'staging' } }],
    ['acme/support@12', { tenant: 'acme', adapter: 'support', selector: { kind: 'version', version: 12 } }],
    ['acme/sup.port-2', { tenant: 'acme', adapter: 'sup.port-2', selector: { kind: 'default' } }],
  ])('reads %s', (text, expected) => {
    expect(parseModelReference(text)).toEqual(expected);
  });

  it.each([
    '',
    '/a',
    'a/',
    'a@',
    'a@0',
    'a@01',
    'a@x',
    'a:',
    'a:b@1',
    'a@1:b',
    'a/b/c',
    ' a',
    'a\n',
    '../a',
    'é',
  ])('takes %j for no model', (text) => {
    expect(parseModelReference(text)).toBeUndefined();
  });
});

describe('chooseRoute', () => {
  const routes = [
    { version: 1, weight: 90 },
    { version: 2, weight: 10 },
  ];

  it('gives each route its share', () => {
    const chosen = Array.from({ length: 1000 }, (_, index) => chooseRoute(routes, index / 1000).version);
    expect(chosen.filter((version) => version === 2)).toHaveLength(100);
  });

  it('keeps a user on one version and spreads users by weight', () => {
    const of = (user: string) => chooseRoute(routes, stickyPoint('production', user)).version;
    const users = Array.from({ length: 4000 }, (_, index) => `user-${index}`);
    const first = users.map(of);
    expect(users.map(of)).toEqual(first);
    const share = first.filter((version) => version === 2).length / users.length;
    expect(share).toBeGreaterThan(0.07);
    expect(share).toBeLessThan(0.13);
  });

  it('takes the last route where rounding leaves a rest', () => {
    expect(chooseRoute(routes, 1 - Number.EPSILON / 2).version).toBe(2);
  });
});
