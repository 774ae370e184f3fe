import { fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../scripts/lib/command.mjs';
import { step } from '../../scripts/lib/print.mjs';

/**
 * @typedef {object} PeerSettings
 * @property {string} modelPath
 * @property {number} threads
 * @property {boolean} flashAttention
 * @property {number} batchSize
 * @property {number} sequences  most requests at once
 * @property {number} contextTokens  of one request
 */
/** @typedef {{ prompt: number[], maxTokens: number, adapterPath: string | null }} PeerRequest */

const FOLDER = import.meta.dirname;
export const LLAMA_CPP_VERSION = '3.22.1'; // node-llama-cpp's, as in package.json beside

/** Why llama.cpp cannot be measured here, or undefined. Installs it on first use. */
export async function installLlamaCpp() {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    return 'prebuilt llama.cpp is set up for linux-x64 only';
  if (existsSync(join(FOLDER, 'node_modules', '@node-llama-cpp', 'linux-x64'))) return undefined;
  // Not `npm ci`: npm 11.19 finds a lock out of step that lacks the binaries of platforms left out by `omit`.
  const args = ['install', '--no-save', '--omit=optional', '--ignore-scripts', '--no-audit', '--no-fund'];
  const { code, output } = await step('installing llama.cpp (node-llama-cpp) under bench/peers', () =>
    run('npm', args, { cwd: FOLDER }),
  );
  return code === 0 ? undefined : `npm install in bench/peers failed: ${output.trim().split('\n').at(-1)}`;
}

/** llama.cpp in a child process, with memory in huge pages. */
export class LlamaCppPeer {
  #child;
  #next = 0;
  /** @type {Map<number, { resolve: (value: any) => void, reject: (error: Error) => void }>} */
  #waiting = new Map();

  constructor() {
    this.#child = fork(join(FOLDER, 'llama-cpp.mjs'), [], {
      cwd: FOLDER,
      env: { ...process.env, GLIBC_TUNABLES: 'glibc.malloc.hugetlb=1' },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#child.on('message', (/** @type {any} */ { id, result, error }) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error !== undefined) waiting?.reject(new Error(`llama.cpp: ${error}`));
      else waiting?.resolve(result);
    });
    this.exited = new Promise((resolve) =>
      this.#child.once('exit', (code, signal) => {
        for (const { reject } of this.#waiting.values()) {
          reject(new Error(`llama.cpp ended (${signal ?? `exit code ${code}`})`));
        }
        this.#waiting.clear();
        resolve(undefined);
      }),
    );
  }

  get pid() {
    return this.#child.pid;
  }

  /** @param {PeerSettings} settings @returns {Promise<{ systemInfo: string }>} */
  open(settings) {
    return this.#ask({ do: 'open', settings });
  }

  /** @param {readonly string[]} paths @returns {Promise<void>} */
  preload(paths) {
    return this.#ask({ do: 'preload', paths });
  }

  /**
   * @param {readonly PeerRequest[]} requests
   * @returns {Promise<{ results: { tokens: number[], times_ms: number[] }[], total_ms: number }>}
   */
  wave(requests) {
    return this.#ask({ do: 'wave', requests });
  }

  async close() {
    this.#child.kill('SIGKILL'); // it holds nothing that could be lost
    await this.exited;
  }

  /** @param {object} message @returns {Promise<any>} */
  #ask(message) {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#child.send({ id, ...message });
    });
  }
}
