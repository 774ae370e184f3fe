import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { expect, it } from 'vitest';
import { BodyBudget, budgetOf } from './body-budget.js';
import { FairWork } from './fair-work.js';
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
