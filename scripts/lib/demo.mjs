import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ApiClient } from './api-client.mjs';
import { inRepository } from './paths.mjs';
import { readSecret, writeSecret } from './secret-file.mjs';
import { StopError } from './stop-error.mjs';

const TENANT = 'demo';
const FILES = /** @type {const} */ (['adapter_config.json', 'adapter_model.safetensors']);
/** The label by which a later start knows what it has already uploaded. */
const LABEL = 'bundle';
const WAIT_S = 60;

/**
 * @typedef {object} DemoAdapter
 * @property {string} name
 * @property {string} path  of its folder, from demo.json's
 * @property {string} description
 * @property {{ messages: readonly { role: string, content: string }[], expected: string }} example
 */
/** @typedef {{ base: string, name: string, adapters: readonly DemoAdapter[] }} DemoIndex */
/** @typedef {{ key: string, adapters: readonly DemoAdapter[] }} Demo */

const folder = inRepository('models', 'demo');

/** @returns {DemoIndex} */
function demoIndex() {
  const path = join(folder, 'demo.json');
  if (!existsSync(path))
    throw new StopError(`The bundled demo model is missing (${path}). Give one: MODEL_PATH`);
  return JSON.parse(readFileSync(path, 'utf8'));
}

/** The bundled base model. */
export function demoModel() {
  const { base, name } = demoIndex();
  return { path: join(folder, base), name };
}

/**
 * Registers the demo tenant, its key and its adapters over the public API; what is there already stays.
 * @param {string} url
 * @param {string} adminKey
 * @param {string} dataDir
 * @returns {Promise<Demo>}
 */
export async function registerDemo(url, adminKey, dataDir) {
  const admin = new ApiClient(url, adminKey);
  await admin.expect([201, 409], 'POST', '/v1/admin/tenants', { name: TENANT });
  const key = await demoKey(url, admin, join(dataDir, 'demo-key'));
  const { base, adapters } = demoIndex();
  const tenant = new ApiClient(url, key);
  // A version belongs to one base: with another one the same files are a new version.
  const weights = readFileSync(join(folder, base, 'model.safetensors'));
  const baseHash = createHash('sha256').update(weights).digest('hex');
  await Promise.all(adapters.map((adapter) => registerAdapter(tenant, adapter, baseHash)));
  return { key, adapters };
}

/** @param {string} url @param {ApiClient} admin @param {string} path */
async function demoKey(url, admin, path) {
  const known = readSecret(path);
  if (known !== undefined) {
    const { status } = await new ApiClient(url, known).call('GET', '/v1/models');
    if (status === 200) return known;
  }
  const { body } = await admin.expect([201], 'POST', `/v1/admin/tenants/${TENANT}/keys`, {
    name: 'npm start',
    scopes: ['inference', 'adapters', 'usage'],
  });
  writeSecret(path, body.key);
  return String(body.key);
}

/** @param {ApiClient} tenant @param {DemoAdapter} adapter @param {string} base  hash of its base's weights */
async function registerAdapter(tenant, { name, path, description }, base) {
  const files = FILES.map((file) => ({ file, bytes: readFileSync(join(folder, path, file)) }));
  const bundle = createHash('sha256').update(base);
  for (const { bytes } of files) bundle.update(bytes);
  const label = bundle.digest('hex').slice(0, 40);
  await tenant.expect([201, 409], 'POST', '/v1/adapters', { name, description });
  const versions = await tenant.expect([200], 'GET', `/v1/adapters/${name}/versions?limit=100`);
  const same = versions.body.data.find(
    (/** @type {any} */ v) => v.labels?.[LABEL] === label && v.state !== 'rejected',
  );
  const version = same ?? (await upload(tenant, name, files, label));
  await untilVersionReady(tenant, name, version);
}

/**
 * @param {ApiClient} tenant
 * @param {string} name
 * @param {readonly { file: string, bytes: Buffer<ArrayBuffer> }[]} files
 * @param {string} label
 */
async function upload(tenant, name, files, label) {
  const form = new FormData();
  form.append('metadata', JSON.stringify({ labels: { [LABEL]: label } }));
  for (const { file, bytes } of files) form.append('files', new Blob([bytes]), file);
  const { body } = await tenant.expect([201], 'POST', `/v1/adapters/${name}/versions?wait=${WAIT_S}`, form);
  return body;
}

/** @param {ApiClient} tenant @param {string} name @param {any} version */
async function untilVersionReady(tenant, name, version) {
  let current = version;
  const deadline = Date.now() + 300_000;
  while (current.state !== 'ready') {
    if (current.state === 'rejected') {
      throw new StopError(`The demo adapter ${name} was rejected: ${JSON.stringify(current.report)}`);
    }
    if (Date.now() > deadline)
      throw new StopError(`The demo adapter ${name} was not ready within 5 minutes.`);
    await new Promise((resolve) => setTimeout(resolve, 200));
    ({ body: current } = await tenant.expect(
      [200],
      'GET',
      `/v1/adapters/${name}/versions/${version.version}`,
    ));
  }
}
