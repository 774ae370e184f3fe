import { describe, expect, it } from 'vitest';
import { isInstalled } from '../../scripts/lib/npm-packages.mjs';

const machine = { os: 'linux', cpu: 'x64', libc: 'glibc' };
const lock = (packages: Record<string, object>) => ({ packages: { '': {}, ...packages } });
const a = { version: '1.0.0', integrity: 'sha512-a' };

describe('whether npm ci has to run', () => {
  it('need not when node_modules holds exactly what the lock file names', () => {
    expect(isInstalled(lock({ 'node_modules/a': a }), lock({ 'node_modules/a': a }), machine)).toBe(true);
  });

  it('has to when a package is missing, has another version, or other contents', () => {
    const wanted = lock({ 'node_modules/a': a });
    expect(isInstalled(wanted, lock({}), machine)).toBe(false);
    expect(isInstalled(wanted, lock({ 'node_modules/a': { ...a, version: '1.0.1' } }), machine)).toBe(false);
    expect(isInstalled(wanted, lock({ 'node_modules/a': { ...a, integrity: 'sha512-b' } }), machine)).toBe(
      false,
    );
  });

  it('does not miss optional packages for other machines', () => {
    const others = [
      { os: ['darwin'], cpu: ['x64'] },
      { os: ['linux'], cpu: ['arm64'] },
      { os: ['linux'], cpu: ['x64'], libc: ['musl'] },
      { os: ['!linux'] },
    ];
    for (const limits of others) {
      expect(
        isInstalled(lock({ 'node_modules/a': { ...a, optional: true, ...limits } }), lock({}), machine),
      ).toBe(true);
    }
  });

  it('misses the optional package for this machine, as after a copy from another one', () => {
    const wanted = lock({ 'node_modules/a': { ...a, optional: true, os: ['linux'], cpu: ['x64'] } });
    expect(isInstalled(wanted, lock({}), machine)).toBe(false);
  });
});
