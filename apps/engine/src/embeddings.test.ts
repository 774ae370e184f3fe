import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { EngineStatusSchema, type GenerateEvent, GenerateEventSchema } from '#contracts/engine-protocol.js';
import { parseSettings } from '#runtime/settings.js';
import { openBlobStore, storageSettings } from '#stores/blobs/open-blob-store.js';
import { generateRequest } from '../../../test/support/generate-request.js';
import { storePlainLora } from '../../../test/support/plain-lora.js';
import { ROOT } from '../../../test/support/stack.js';
import { type EngineProcess, startEngine } from './engine-process.js';
import { engineSettings } from './settings.js';

interface GoldenCase {
  readonly case: string;
  readonly prompts: readonly number[][];
  readonly vectors: readonly (Readonly<Record<Kind, readonly number[]>> & {
    readonly adapter: string | null;
    readonly prompt: number;
  })[];
}
type Kind = 'last' | 'mean' | 'cls';

const TOKEN = 'a-token-of-the-embeddings-test';
const GOLDEN = join(ROOT, 'test/golden');
const CASES = JSON.parse(readFileSync(join(GOLDEN, 'embeddings.json'), 'utf8')) as GoldenCase[];
const MODES = {
  last: 'pooling_mode_lasttoken',
  mean: 'pooling_mode_mean_tokens',
  cls: 'pooling_mode_cls_token',
} as const;
/** Of each number of a hidden state; those are about 1. */
const TOLERANCE = 2e-3;

let folder: string;
let engine: EngineProcess | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lorikeet-embeddings-'));
});
afterEach(async () => {
  for (const closable of engine?.closables ?? []) await closable.close();
  engine = undefined;
  rmSync(folder, { recursive: true, force: true });
});

/** The case's model with what sentence-transformers says of pooling beside it. */
function modelPooledBy(golden: GoldenCase, kind: Kind, normalize: boolean): string {
  const model = join(GOLDEN, golden.case, 'model');
  const made = join(folder, 'model');
  mkdirSync(join(made, '1_Pooling'), { recursive: true });
  for (const name of readdirSync(model)) symlinkSync(join(model, name), join(made, name));
  const types = ['Transformer', 'Pooling', ...(normalize ? ['Normalize'] : [])];
  const modules = types.map((type, idx) => ({
    idx,
    path: type === 'Pooling' ? '1_Pooling' : '',
    type: `sentence_transformers.models.${type}`,
  }));
  writeFileSync(join(made, 'modules.json'), JSON.stringify(modules));
  writeFileSync(join(made, '1_Pooling/config.json'), JSON.stringify({ [MODES[kind]]: true }));
  return made;
}

/** Starts it; answers a request's vector. */
async function open(modelPath: string, maxStepTokens: number) {
  const storageUrl = pathToFileURL(join(folder, 'blobs')).href;
  engine = await startEngine(
    parseSettings(engineSettings, {
      MODEL_PATH: modelPath,
      MODEL_NAME: 'golden',
      ENGINE_PORT: '0',
      ENGINE_TOKEN: TOKEN,
      STORAGE_URL: storageUrl,
      DATA_DIR: folder,
      LOG_LEVEL: 'error',
      THREADS: '1',
      MAX_STEP_TOKENS: String(maxStepTokens),
    }),
  );
  await engine.loaded;
  const url = `http://127.0.0.1:${(engine.app.getHttpServer().address() as AddressInfo).port}`;
  const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' };
  const status = EngineStatusSchema.parse(await (await fetch(`${url}/status`, { headers })).json());
  const blobs = await openBlobStore(parseSettings(storageSettings, { STORAGE_URL: storageUrl }));
  return {
    load: (adapter: string) => storePlainLora(blobs, adapter, status.base?.digest ?? ''),
    embed: async (tokens: number[], adapter: string | undefined): Promise<Float32Array> => {
      const request = generateRequest(
        { kind: 'tokens', tokens },
        { maxTokens: 0, embedding: true, ...(adapter === undefined ? {} : { adapter }) },
      );
      const response = await fetch(`${url}/generate`, {
        method: 'POST',
        headers,
        body: JSON.stringify(request),
      });
      const events: GenerateEvent[] = (await response.text())
        .trim()
        .split('\n')
        .map((line) => GenerateEventSchema.parse(JSON.parse(line)));
      const found = events.find((event) => event.type === 'embedding');
      expect(found, JSON.stringify(events)).toBeDefined();
      return new Float32Array(new Uint8Array(Buffer.from(found?.values ?? '', 'base64')).buffer);
    },
  };
}

function normalized(vector: readonly number[]): number[] {
  const length = Math.sqrt(vector.reduce((sum, x) => sum + x * x, 0));
  return vector.map((x) => x / length);
}

const worstOf = (got: Float32Array, want: readonly number[]) => {
  expect(got.length).toBe(want.length);
  return Math.max(...want.map((x, i) => Math.abs(x - (got[i] ?? Number.NaN))));
};

it.each(
  CASES.flatMap((golden) =>
    (['last', 'mean', 'cls'] as const).map((kind) => [golden.case, kind, golden] as const),
  ),
)(
  '%s pooled by %s is what Transformers and PEFT compute, with each adapter, and the same in small steps',
  async (_, kind, golden) => {
    const normalize = kind === 'mean';
    const seen: Float32Array[][] = [];
    for (const maxStepTokens of [96, 16]) {
      const made = modelPooledBy(golden, kind, normalize);
      const { load, embed } = await open(made, maxStepTokens);
      const adapters = [...new Set(golden.vectors.map(({ adapter }) => adapter))].filter(
        (name) => name !== null,
      );
      const digests = new Map<string, string>();
      for (const name of adapters) digests.set(name, await load(join(GOLDEN, golden.case, 'adapters', name)));
      const got = await Promise.all(
        golden.vectors.map(({ adapter, prompt }) =>
          embed(golden.prompts[prompt] ?? [], adapter === null ? undefined : digests.get(adapter)),
        ),
      );
      for (const [i, vector] of got.entries()) {
        const want = golden.vectors[i]?.[kind] ?? [];
        expect(worstOf(vector, normalize ? normalized(want) : want)).toBeLessThan(TOLERANCE);
      }
      seen.push(got);
      for (const closable of engine?.closables ?? []) await closable.close();
      engine = undefined;
      rmSync(made, { recursive: true });
    }
    expect(seen[1]).toEqual(seen[0]);
  },
);
