import { expect, it } from 'vitest';
import { healthAfter } from './endpoint-health.js';

const DAY_MS = 24 * 3600_000;
const start = new Date('2026-01-01T00:00:00Z');
const later = (days: number) => new Date(start.getTime() + days * DAY_MS);
const well = { enabled: true, disabledReason: null, failingSince: null };
const failed = { status: 500, ok: false };

it('counts from the first failure that no success has followed', () => {
  const failing = healthAfter(well, failed, start);
  expect(failing).toEqual({ ...well, failingSince: start });
  expect(healthAfter(failing, failed, later(4.9))).toEqual(failing);
  expect(healthAfter(failing, { status: 200, ok: true }, later(1))).toEqual(well);
});

it('disables an endpoint that has failed for five days, or that says it is gone', () => {
  const failing = healthAfter(well, failed, start);
  const silent = { status: undefined, ok: false };
  expect(healthAfter(failing, silent, later(5))).toMatchObject({ enabled: false, failingSince: start });
  expect(healthAfter(well, { status: 410, ok: false }, start)).toMatchObject({
    enabled: false,
    disabledReason: 'It answered 410 Gone.',
  });
});

it('leaves the reason of whoever disabled it before', () => {
  const off = { enabled: false, disabledReason: null, failingSince: start };
  expect(healthAfter(off, failed, later(9))).toEqual(off);
});
