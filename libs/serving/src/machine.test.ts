import { describe, expect, it } from 'vitest';
import { coresIn, cpusOfQuota } from './machine.js';

describe('the machine', () => {
  it('counts a core with two threads once', () => {
    const cpu = (physical: number, core: number): string =>
      `processor\t: 0\nphysical id\t: ${physical}\ncore id\t\t: ${core}\n`;
    expect(coresIn([cpu(0, 0), cpu(0, 1), cpu(0, 0), cpu(1, 0)].join('\n'))).toBe(3);
    expect(coresIn('processor\t: 0\nBogoMIPS\t: 50\n')).toBeUndefined();
  });

  it('reads a cgroup quota in whole CPUs', () => {
    expect(cpusOfQuota('250000 100000\n')).toBe(2);
    expect(cpusOfQuota('50000 100000')).toBe(1);
    expect(cpusOfQuota('max 100000')).toBeUndefined();
    expect(cpusOfQuota('')).toBeUndefined();
  });
});
