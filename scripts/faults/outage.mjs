import { setTimeout as sleep } from 'node:timers/promises';
import { describe } from './caller.mjs';

/**
 * Freezes PostgreSQL, then Redis, as a network that swallows packets does. Inference with known keys and aliases goes on,
 * writes are refused with a time to come again, and everything heals.
 * @param {{ product: import('./product.mjs').Product, owner: import('./caller.mjs').Caller, variants: import('./uploads.mjs').Variants,
 *   traffic: import('./traffic.mjs').Traffic, outage_s: number, say: (line: string) => void }} input
 * @returns {Promise<import('./verify.mjs').Finding[]>}
 */
export async function outage({ product, owner, variants, traffic, outage_s, say }) {
  /** @type {import('./verify.mjs').Finding[]} */
  const findings = [];
  for (const victim of /** @type {const} */ (['postgres', 'redis'])) {
    const before = traffic.answered;
    const refusedBefore = refused(traffic);
    const thaw = product.freeze(victim);
    const end_ms = Date.now() + outage_s * 1_000;
    const writes = [];
    try {
      for (let n = 0; Date.now() < end_ms; n++) {
        writes.push(
          await owner.call('POST', '/v1/adapters/outage/versions?create=true', variants.form(50_000 + n)),
        );
        await sleep(1_000);
      }
      await sleep(Math.max(0, end_ms - Date.now()));
    } finally {
      thaw();
    }
    const answered = traffic.answered - before;
    const start_ms = Date.now();
    await product.untilReady();
    await owner.insist(
      201,
      'POST',
      '/v1/adapters/outage/versions?create=true',
      variants.form(60_000 + findings.length),
    );
    const healed_s = ((Date.now() - start_ms) / 1000).toFixed(1);
    const wrong = writes.filter(
      ({ status, retryAfter }) => status !== 201 && !(status === 503 && retryAfter !== null),
    );
    const slowest_s = (Math.max(...writes.map(({ took_ms }) => took_ms)) / 1000).toFixed(1);
    const counts = `${writes.filter(({ status }) => status === 201).length} accepted, ${writes.filter(({ status }) => status === 503).length} answered 503, slowest ${slowest_s} s`;
    findings.push(
      {
        ok: answered > outage_s && refused(traffic) === refusedBefore,
        text: `${victim} frozen for ${outage_s} s: ${answered} requests answered, ${refused(traffic) - refusedBefore} not`,
      },
      {
        ok: wrong.length === 0,
        text: `${victim} frozen: writes: ${counts}${wrong.map((answer) => `; ${describe(answer)}`).join('')}`,
      },
      { ok: true, text: `${victim} back: ready and writing again after ${healed_s} s` },
    );
    for (const { ok, text } of findings.slice(-3)) say(`  ${ok ? 'ok   ' : 'WRONG'} ${text}`);
  }
  return findings;
}

/** @param {import('./traffic.mjs').Traffic} traffic */
const refused = (traffic) => traffic.tallies.reduce((sum, tally) => sum + tally.refused + tally.cut, 0);
