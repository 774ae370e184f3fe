// Another tenant: asks for the API's health every 10 ms and for one token four times a second, and remembers how long it took.
import http from 'node:http';

const HEALTH_EVERY_MS = 10;
const TOKEN_EVERY_MS = 250;
const TIMEOUT_MS = 60_000;

const { url, key, model } = JSON.parse(process.argv[2] ?? '{}');
const agent = new http.Agent({ keepAlive: true });
/** @typedef {{ times: number[], failed: number }} Seen */
/** @type {{ health: Seen, token: Seen }} */
let seen = { health: { times: [], failed: 0 }, token: { times: [], failed: 0 } };

/** @param {Seen} into @param {string} path @param {object} [body] */
function ask(into, path, body) {
  const start_ms = performance.now();
  const done = (/** @type {boolean} */ isGood) => {
    into.times.push(performance.now() - start_ms);
    if (!isGood) into.failed += 1;
  };
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  const options = { agent, method: body ? 'POST' : 'GET', headers, timeout: TIMEOUT_MS };
  return new Promise((resolve) => {
    const request = http.request(url + path, options, (response) => {
      response.resume().on('end', () => {
        done(response.statusCode === 200);
        resolve(undefined);
      });
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => {
      done(false);
      resolve(undefined);
    });
    request.end(body ? JSON.stringify(body) : undefined);
  });
}

/** One after another, at most one in so many milliseconds. @param {number} every_ms @param {() => Promise<unknown>} work */
async function repeat(every_ms, work) {
  for (;;) {
    const start_ms = performance.now();
    await work();
    const rest_ms = every_ms - (performance.now() - start_ms);
    if (rest_ms > 0) await new Promise((resolve) => setTimeout(resolve, rest_ms));
  }
}

/** @param {Seen} of */
function summary({ times, failed }) {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (/** @type {number} */ share) => Math.round(sorted[Math.ceil(share * sorted.length) - 1] ?? 0);
  return { p50: at(0.5), p99: at(0.99), max: at(1), count: sorted.length, failed };
}

process.on('message', (what) => {
  const { health, token } = seen;
  seen = { health: { times: [], failed: 0 }, token: { times: [], failed: 0 } };
  process.send?.(what === 'tell' ? { health: summary(health), token: summary(token) } : 'forgotten');
});
process.on('disconnect', () => process.exit(0));

void repeat(HEALTH_EVERY_MS, () => ask(seen.health, '/health/live'));
let turn = 0;
void repeat(TOKEN_EVERY_MS, () => {
  turn += 1;
  return ask(seen.token, '/v1/completions', { model, prompt: `Turn ${turn}:`, max_tokens: 1 });
});
