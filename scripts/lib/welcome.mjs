import { ApiClient } from './api-client.mjs';
import { inRepository } from './paths.mjs';
import { bold, say } from './print.mjs';

/** @typedef {import('../../libs/contracts/src/engines-api.js').EngineResource} EngineResource */

/** For a POSIX shell, in single quotes. @param {string} text */
const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

/**
 * One line that can be pasted into a shell.
 * @param {string} url
 * @param {string} key
 * @param {import('./demo.mjs').DemoAdapter} adapter
 */
export function curlOf(url, key, { name, example }) {
  const body = JSON.stringify({ model: name, messages: example.messages, temperature: 0, max_tokens: 80 });
  return [
    `curl -sS ${url}/v1/chat/completions`,
    `-H ${quoted(`authorization: Bearer ${key}`)}`,
    `-H 'content-type: application/json'`,
    `-d ${quoted(body)}`,
  ].join(' ');
}

/**
 * The engine that serves, as the operator sees it.
 * @param {string} url @param {string} adminKey @returns {Promise<EngineResource | undefined>}
 */
export async function servedEngine(url, adminKey) {
  const { body } = await new ApiClient(url, adminKey).expect([200], 'GET', '/v1/admin/engines');
  return body.data.find((/** @type {EngineResource} */ engine) => engine.base_model !== null);
}

/**
 * How many stored versions were never validated against the base that is served.
 * @param {string} url @param {string} adminKey @returns {Promise<number>}
 */
export async function unvalidatedVersions(url, adminKey) {
  const { body } = await new ApiClient(url, adminKey).expect([200], 'GET', '/v1/admin/revalidations');
  return body.unvalidated;
}

/** What to do for them, in lines. @param {number} waiting */
function waitingLines(waiting) {
  if (waiting === 0) return [];
  const [versions, were, them] = waiting === 1 ? ['version', 'was', 'it'] : ['versions', 'were', 'them'];
  return [
    `  ${waiting} stored ${versions} ${were} made for another base model and do${waiting === 1 ? 'es' : ''} not answer on this one.`,
    `  To validate ${them} against it: npx lorikeet login --local, then npx lorikeet revalidate --all --wait`,
  ];
}

/** @param {number} bytes */
function bytesText(bytes) {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  for (; bytes >= 1024 && unit < units.length - 1; unit += 1) bytes /= 1024;
  return `${unit === 0 ? bytes : bytes.toFixed(1)} ${units[unit]}`;
}

/** What an engine serves, in lines. @param {EngineResource} engine @returns {string[]} */
export function engineLines({ base_model: base, device, device_reason: reason, kv, adapters }) {
  if (!base) return [];
  const quantization = base.quantization === 'none' ? 'not quantized' : base.quantization;
  const tokens = kv.pages * kv.page_tokens;
  return [
    `  Model         ${base.name} (${base.architecture}, ${quantization})`,
    `  Device        ${device ?? 'unknown'}`,
    ...(reason ? [`                DEVICE=auto takes the CPU: ${reason}`] : []),
    `  Context       ${base.max_context} tokens`,
    `  Memory        ${bytesText(kv.bytes)} for ${tokens} cached tokens, ${bytesText(adapters.limit_bytes)} for adapters`,
  ];
}

/** From the first start to the first answer of an adapter: what to type next. @param {string} baseName @param {string} dataDir */
function nextCommands(baseName, dataDir) {
  return [
    `npx lorikeet login --local${dataDir === inRepository('data') ? '' : ` --data-dir ${quoted(dataDir)}`}`,
    'npx lorikeet tenants create acme',
    'npx lorikeet adapters push ./my-adapter --tenant acme --wait   # a PEFT folder',
    `npx lorikeet chat my-adapter --tenant acme   # or the base model: ${baseName}`,
  ];
}

/**
 * What the person at the terminal needs next.
 * @param {{
 *   url: string, signInUrl: string, adminKey: string, dataDir: string,
 *   demo: import('./demo.mjs').Demo | undefined, engine: EngineResource | undefined,
 *   waiting: number,
 * }} facts
 */
export function printWelcome({ url, signInUrl, adminKey, dataDir, demo, engine, waiting }) {
  say();
  say(bold('Lorikeet is ready.'));
  say();
  say(`  API           ${url}`);
  say(`  Console       ${url}/console`);
  say(`  Sign in once  ${signInUrl}`);
  say(`  Docs          ${url}/docs`);
  say(`  Operator key  ${adminKey}`);
  if (demo) say(`  Demo key      ${demo.key}`);
  say(`  Data, logs    ${dataDir}`);
  if (engine) for (const line of engineLines(engine)) say(line);
  if (waiting > 0) say();
  for (const line of waitingLines(waiting)) say(line);
  if (engine?.base_model && !demo) {
    say();
    say('Next:');
    for (const command of nextCommands(engine.base_model.name, dataDir)) say(`  ${command}`);
  }
  if (demo) {
    say();
    say('Call the demo adapters:');
    for (const adapter of demo.adapters) {
      say();
      say(`# ${adapter.name}: ${adapter.description}`);
      say(curlOf(url, demo.key, adapter));
    }
  }
  say();
  say('Ctrl-C stops everything.');
}
