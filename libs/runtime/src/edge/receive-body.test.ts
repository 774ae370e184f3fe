import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { expect, it, vi } from 'vitest';
import { BodyBudget, budgetOf } from './body-budget.js';
import { FairWork } from './fair-work.js';
import { JsonScanner, jsonLimits } from './json-scanner.js';
import { BodyReceiver } from './receive-body.js';

const MIB = 2 ** 20;

it.each([
  ['a small body is its own', 10_000, 10_000],
  ['a large body is given back at once', MIB, 0],
])('%s', async (_, bytes, left) => {
  const request = new IncomingMessage(new Socket());
  const budget = new BodyBudget(budgetOf(64 * MIB));
  const holder = { socket: request.socket, address: '::1', owner: 'key' };
  const options = { limitBytes: 4 * MIB, holder, budget, work: new FairWork(), scanner: undefined };
  const receiver = new BodyReceiver(options);
  for (let at = 0; at < bytes; at += 5_000) request.push(Buffer.alloc(Math.min(5_000, bytes - at), at % 251));
  request.push(null);
  const body = await receiver.receive(request);
  expect([body.length, body[5_000], body.at(-1)]).toEqual([
    bytes,
    5_000 % 251,
    (Math.ceil(bytes / 5_000) * 5_000 - 5_000) % 251,
  ]);
  expect(budget.bytes).toBeGreaterThanOrEqual(bytes);
  receiver.free();
  receiver.release();
  expect([body.length, budget.bytes]).toEqual([left, 0]);
});

it('does no work on a body whose client went while it waited for its turn', async () => {
  const request = new IncomingMessage(new Socket());
  const budget = new BodyBudget(budgetOf(64 * MIB));
  const holder = { socket: request.socket, address: '::1', owner: 'key' };
  const work = new FairWork();
  const scanner = new JsonScanner(jsonLimits(4 * MIB));
  const scan = vi.spyOn(scanner, 'scan');
  const receiver = new BodyReceiver({ limitBytes: 4 * MIB, holder, budget, work, scanner });
  const busy = () => {
    const end_ms = performance.now() + 10;
    while (performance.now() < end_ms);
  };
  const before = Promise.all([work.run('key', busy), work.run('key', busy)]);
  const received = receiver.receive(request);
  request.push(Buffer.alloc(100_000, '1'));
  await new Promise((resolve) => setImmediate(resolve)); // it stands in line now
  request.destroy();
  await expect(received).rejects.toMatchObject({ code: 'client_closed_request' });
  await before;
  expect(scan).not.toHaveBeenCalled();
});
