import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { AdapterReport } from '#contracts/adapter-report.js';
import type { BaseModel } from '#contracts/base-model.js';
import type { SafetensorsHeader } from '#safetensors/header.js';
import { parseStrictJson, StrictJsonError } from '#safetensors/strict-json.js';
import { SafetensorsValidator } from '#safetensors/validator.js';
import { layOut } from '#safetensors/writer.js';
import type { BlobInfo, BlobStore } from '#stores/blobs/blob-store.js';
import { CONVERTED_FILE } from '../blobs/removal.js';
import { isMlxConfig, readMlxConfig } from '../mlx/mlx-config.js';
import { convertedFile, type MlxConversion, planConversion } from '../mlx/mlx-conversion.js';
import { buildReport } from '../peft/report.js';

/** An adapter in PEFT's form: as it came, or converted. */
export interface PeftForm {
  readonly configJson: string;
  readonly weights: BlobInfo;
  readonly header: SafetensorsHeader;
  /** The converted weights, by name. */
  readonly made: ReadonlyMap<string, BlobInfo>;
  /** What stands in the report besides: of the config as it came. */
  readonly report: Partial<Pick<AdapterReport, 'fields' | 'warnings'>>;
}

export interface FormInput {
  readonly configJson: string;
  readonly weights: BlobInfo;
  readonly header: SafetensorsHeader;
  readonly base: BaseModel;
  readonly blobs: BlobStore;
  readonly signal: AbortSignal;
}

/** Converts an MLX-LM adapter; leaves any other as it is. */
export async function inPeftForm(input: FormInput): Promise<PeftForm | { readonly rejected: AdapterReport }> {
  const { configJson, weights, header, base } = input;
  const asItCame = { configJson, weights, header, made: new Map<string, BlobInfo>(), report: {} };
  const config = objectOf(configJson);
  if (config === undefined || !isMlxConfig(config)) return asItCame;
  const { adapter, fields, errors } = readMlxConfig(config, base);
  const plan = adapter ? planConversion(adapter, header, base) : { errors };
  if ('errors' in plan) {
    const report = buildReport({ errors: plan.errors, warnings: [], fields, tensors: [], modules: [] });
    return { rejected: report };
  }
  const converted = await convert(plan, input);
  const message =
    "The adapter came in MLX-LM's format; its factors were transposed and named as PEFT names them.";
  return {
    configJson: plan.configJson,
    ...converted,
    made: new Map([[CONVERTED_FILE, converted.weights]]),
    report: { fields: [...fields], warnings: [{ code: 'mlx_converted', message }] },
  };
}

async function convert(
  plan: MlxConversion,
  { weights, blobs, signal }: FormInput,
): Promise<Pick<PeftForm, 'weights' | 'header'>> {
  const read = async (begin: number, end: number): Promise<Uint8Array> => {
    signal.throwIfAborted();
    return begin === end ? new Uint8Array() : buffer(await blobs.open(weights.sha256, { begin, end }));
  };
  // The new head may be longer than the old one.
  const limitBytes = weights.bytes + layOut(plan.tensors).head.length;
  const info = await blobs.put(Readable.from(convertedFile(plan, read)), { limitBytes, signal });
  const validator = new SafetensorsValidator({ maxHeaderBytes: limitBytes });
  for await (const chunk of (await blobs.open(info.sha256)) as AsyncIterable<Buffer>) validator.push(chunk);
  return { weights: info, header: validator.finish() };
}

function objectOf(json: string): Record<string, unknown> | undefined {
  try {
    const value = parseStrictJson(json);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch (error) {
    if (error instanceof StrictJsonError) return undefined; // the reader says what is wrong
    throw error;
  }
}
