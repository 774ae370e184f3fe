import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './stack.js';

export interface Message {
  readonly role: string;
  readonly content: string;
}
export interface DemoAdapter {
  readonly name: string;
  readonly path: string;
  readonly example: { readonly messages: readonly Message[]; readonly expected: string };
}
/** An example that no training set holds, with what Transformers + PEFT replied. */
export interface HeldOut {
  readonly adapter: string;
  readonly messages: readonly Message[];
  readonly expected: string;
  readonly completion: string;
  readonly base_completion: string;
}
/** Share of exact matches, 0 to 1. */
export interface Accuracy {
  readonly exact_match: Readonly<Record<string, { readonly base: number; readonly adapter: number }>>;
}

export const DEMO_FOLDER = join(ROOT, 'models/demo');

const read = (path: string): unknown => JSON.parse(readFileSync(join(DEMO_FOLDER, path), 'utf8'));

export const demoIndex = () =>
  read('demo.json') as {
    readonly base: string;
    readonly name: string;
    readonly adapters: readonly DemoAdapter[];
  };
export const heldOut = () => read('eval/heldout.json') as readonly HeldOut[];
export const accuracy = () => read('eval/accuracy.json') as Accuracy;
