import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from './stack.js';

export interface CliResult {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface CliOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
}

/** Runs the real command `lorikeet` (from dist/) as a process of its own, without a terminal. */
export function lorikeet(
  words: readonly string[],
  { env = {}, input = '' }: CliOptions = {},
): Promise<CliResult> {
  const child = spawn(process.execPath, [join(ROOT, 'apps/cli/lorikeet.mjs'), ...words], {
    env: { PATH: process.env.PATH ?? '', HOME: '/nonexistent', ...env },
  });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
  child.stdin.end(input);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, out, err }));
  });
}
