import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { run } from '../../scripts/lib/command.mjs';

/** Why it cannot be measured, or undefined. @param {string | undefined} python */
export async function whyNoTransformers(python) {
  if (python === undefined) return 'PYTHON names no Python with torch, transformers and peft';
  const { code, output } = await run(python, ['-c', 'import torch, transformers, peft']);
  return code === 0 ? undefined : `${python}: ${output.trim().split('\n').at(-1)}`;
}

/** transformers_peft.py in a child process: one JSON line to it, one back. */
export class TransformersPeer {
  #child;
  /** @type {{ resolve: (value: any) => void, reject: (error: Error) => void }[]} */
  #waiting = [];

  /** @param {string} python */
  constructor(python) {
    this.#child = spawn(python, [join(import.meta.dirname, 'transformers_peft.py')], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#child.stdin.on('error', () => {}); // told by its exit
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      const { error, ...result } = JSON.parse(line);
      const waiting = this.#waiting.shift();
      if (error !== undefined) waiting?.reject(new Error(`Transformers + PEFT: ${error}`));
      else waiting?.resolve(result);
    });
    this.exited = new Promise((resolve) =>
      this.#child.once('close', (code) => {
        for (const { reject } of this.#waiting.splice(0)) {
          reject(new Error(`Transformers + PEFT ended with exit code ${code}`));
        }
        resolve(undefined);
      }),
    );
  }

  /** @param {{ model: string, adapters: readonly string[], threads: number }} what */
  open(what) {
    return this.#ask({ do: 'open', ...what });
  }

  /** @param {readonly import('../serving/workload.mjs').BenchRequest[]} requests @returns {Promise<{ times_ms: number[][], tokens: number[][] }>} */
  wave(requests) {
    return this.#ask({
      do: 'wave',
      prompts: requests.map(({ prompt }) => prompt),
      new_tokens: Math.max(...requests.map(({ newTokens }) => newTokens)),
      adapters: requests.map(({ adapter }) => adapter ?? null),
    });
  }

  async close() {
    this.#child.stdin.end();
    const force = setTimeout(() => this.#child.kill('SIGKILL'), 5_000);
    await this.exited;
    clearTimeout(force);
  }

  /** @param {object} message @returns {Promise<any>} */
  #ask(message) {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#child.stdin.write(`${JSON.stringify(message)}\n`);
    });
  }
}
