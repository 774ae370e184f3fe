import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { figuresOf } from './outcome.mjs';
import { engineDelta } from './prometheus.mjs';

/** @typedef {import('./product.mjs').Product} Product */
/** @typedef {import('./workload.mjs').BenchRequest} BenchRequest */

/**
 * All requests at once.
 * @param {Product} product @param {readonly BenchRequest[]} requests
 */
export async function runWave(product, requests) {
  const before = await product.engineMetrics();
  const start_ms = performance.now();
  const outcomes = await Promise.all(requests.map((request) => product.stream(request, start_ms)));
  const engine = engineDelta(before, await product.engineMetrics());
  const failed = outcomes.find(({ fault }) => fault !== undefined);
  if (failed) throw new Error(`a request of a wave failed: ${failed.fault}`);
  return { figures: figuresOf(outcomes), engine, outcomes };
}

/** Requests that may be open at once; more mean that the rate is far beyond what the server carries. */
const MOST_OPEN = 192;
/** After the last arrival, requests have this long to end. */
const DRAIN_S = 30;

/**
 * Requests at given times, whatever the server does. Bounded: at MOST_OPEN open requests it stops sending and counts as
 * overloaded, and what has not ended in time is broken off and counted as a fault.
 * @param {Product} product
 * @param {readonly BenchRequest[]} requests
 * @param {readonly number[]} arrivals_ms  one for each request, ascending
 */
export async function runOpenLoop(product, requests, arrivals_ms) {
  const before = await product.engineMetrics();
  const abort = new AbortController();
  setMaxListeners(0, abort.signal); // one for each open request
  const start_ms = performance.now();
  let open = 0;
  let overloaded = false;
  const running = [];
  for (const [index, request] of requests.entries()) {
    await sleep(Math.max(0, /** @type {number} */ (arrivals_ms[index]) - (performance.now() - start_ms)));
    if (open >= MOST_OPEN) {
      overloaded = true;
      break;
    }
    open++;
    running.push(product.stream(request, start_ms, abort.signal).finally(() => open--));
  }
  const deadline = setTimeout(() => abort.abort(), DRAIN_S * 1000);
  const outcomes = await Promise.all(running);
  clearTimeout(deadline);
  const engine = engineDelta(before, await product.engineMetrics());
  const unfinished = outcomes.some(({ fault }) => fault === 'aborted');
  return { figures: figuresOf(outcomes), engine, overloaded: overloaded || unfinished };
}
