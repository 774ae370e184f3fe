// Another tenant: asks for the API's health every 10 ms and for one token four times a second, where told so uploads an
// adapter again and again until each is ready, and remembers how long it all took.
import http from 'node:http';
import { adapterForm } from './upload-form.mjs';

const HEALTH_EVERY_MS = 10;
const TOKEN_EVERY_MS = 250;
const UPLOAD_EVERY_MS = 500;
const TIMEOUT_MS = 60_000;

const { url, key, model, watchesUploads } = JSON.parse(process.argv[2] ?? '{}');
const agent = new http.Agent({ keepAlive: true });
/** @typedef {{ times: number[], failed: number }} Seen */
/** @returns {Record<'health' | 'token' | 'upload', Seen>} */
const nothing = () => ({
  health: { times: [], failed: 0 },
  token: { times: [], failed: 0 },
  upload: { times: [], failed: 0 },
});
let seen = nothing();
let isOver = false;

/** @typedef {{ type: string, body: string | Buffer }} Content */
/** @param {Seen} into @param {number} expected @param {string} path @param {Content} [content] */
function ask(into, expected, path, content) {
  const start_ms = performance.now();
  const done = (/** @type {boolean} */ isGood) => {
    into.times.push(performance.now() - start_ms);
    if (!isGood) into.failed += 1;
  };
  const headers = { authorization: `Bearer ${key}`, 'content-type': content?.type ?? 'application/json' };
  const options = { agent, method: content ? 'POST' : 'GET', headers, timeout: TIMEOUT_MS };
  return new Promise((resolve) => {
    const request = http.request(url + path, options, (response) => {
      response.resume().on('end', () => {
        done(response.statusCode === expected);
        resolve(undefined);
      });
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => {
      done(false);
      resolve(undefined);
    });
    request.end(content?.body);
  });
}

/** One after another, at most one in so many milliseconds. @param {number} every_ms @param {() => Promise<unknown>} work */
async function repeat(every_ms, work) {
  while (!isOver) {
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

const work = [repeat(HEALTH_EVERY_MS, () => ask(seen.health, 200, '/health/live'))];
let turn = 0;
work.push(
  repeat(TOKEN_EVERY_MS, () => {
    turn += 1;
    const body = JSON.stringify({ model, prompt: `Turn ${turn}:`, max_tokens: 1 });
    return ask(seen.token, 200, '/v1/completions', { type: 'application/json', body });
  }),
);
if (watchesUploads) {
  const { headers, body } = adapterForm();
  const content = { type: headers['content-type'] ?? '', body };
  const path = '/v1/adapters/bystander/versions?create=true&wait=60';
  work.push(repeat(UPLOAD_EVERY_MS, () => ask(seen.upload, 201, path, content)));
}

process.on('message', (what) => {
  if (what === 'tell') void tell();
  else {
    seen = nothing();
    process.send?.('forgotten');
  }
});
process.on('disconnect', () => process.exit(0));

/** What is under way counts with the time that it takes in the end. */
async function tell() {
  isOver = true;
  await Promise.all(work);
  const { health, token, upload } = seen;
  process.send?.({ health: summary(health), token: summary(token), upload: summary(upload) });
}
