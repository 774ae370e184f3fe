import { setImmediate as nextTurn } from 'node:timers/promises';
import type { AdapterManifest, ManifestModule } from '#contracts/adapter-manifest.js';
import type { AdapterProblem } from '#contracts/adapter-report.js';
import type { BaseModel } from '#contracts/base-model.js';
import type { SafetensorsHeader, TensorInfo } from '#safetensors/header.js';
import type { FloatDtype } from '#safetensors/floats.js';
import { isFloatDtype, scanFloats } from './scan-floats.js';
import { BaseCopies, withoutCopies } from './base-copies.js';
import { boundWeights, hasProduct, type Largest, type WeightBounds } from './weight-bounds.js';

export interface WeightScan {
  /** The whole file from its first byte. */
  readonly chunks: AsyncIterable<Uint8Array>;
  readonly header: SafetensorsHeader;
  readonly manifest: AdapterManifest;
  readonly base: Pick<BaseModel, 'modules' | 'vocabSize' | 'vocabularyWeights'>;
  readonly signal: AbortSignal;
  readonly onProgress?: (doneBytes: number) => void;
}

/** Between two turns of the event loop; about a few milliseconds of work. */
const TURN_BYTES = 4 * 1024 * 1024;

export interface ScannedWeights extends WeightBounds {
  /** Tensors that are the base's own embedding or head: the adapter is the same without them. */
  readonly copies: readonly string[];
}

/** Reads the weights once and answers what makes the adapter unservable, and what is worth knowing of it. */
export async function scanWeights(scan: WeightScan): Promise<ScannedWeights> {
  const baseCopies = new BaseCopies(scan.manifest, scan.base);
  const scanner = new WeightScanner(scan.header, baseCopies);
  let doneBytes = 0;
  let turnBytes = 0;
  for await (const chunk of scan.chunks) {
    for (let at = 0; at < chunk.length; at += TURN_BYTES) {
      const piece = chunk.subarray(at, at + TURN_BYTES);
      scanner.push(piece);
      doneBytes += piece.length;
      turnBytes += piece.length;
      if (turnBytes < TURN_BYTES) continue;
      turnBytes = 0;
      scan.onProgress?.(doneBytes);
      await nextTurn();
      scan.signal.throwIfAborted();
    }
  }
  scan.signal.throwIfAborted();
  if (doneBytes !== scan.header.fileBytes) {
    throw new Error(`the weights have ${doneBytes} bytes, their header says ${scan.header.fileBytes}`);
  }
  scan.onProgress?.(doneBytes);
  const copies = baseCopies.found();
  const modules = withoutCopies(scan.manifest.modules, copies);
  const without = scanner.withoutEffect(modules);
  if (scanner.problems.length + without.length > 0) {
    return { problems: [...scanner.problems, ...without], warnings: [], tokens: [], copies };
  }
  return { ...boundWeights({ modules }, scanner.largest, scan.base), copies };
}

class WeightScanner {
  readonly problems: AdapterProblem[] = [];
  /** By tensor; without those that are zero. */
  readonly largest = new Map<string, Largest>();
  /** The tensor that byte `at` belongs to, or that comes next. */
  private tensorIndex = 0;
  private at = 0;
  private reported = false;
  /** The first bytes of an element whose other bytes come with the next chunk. */
  private rest: Uint8Array = new Uint8Array(0);

  constructor(
    private readonly header: SafetensorsHeader,
    private readonly copies: BaseCopies,
  ) {}

  push(chunk: Uint8Array): void {
    const end = this.at + chunk.length;
    for (;;) {
      const tensor = this.header.tensors[this.tensorIndex];
      if (tensor === undefined || tensor.begin >= end) break;
      const from = Math.max(tensor.begin, this.at);
      const to = Math.min(tensor.end, end);
      this.scan(tensor, from, chunk.subarray(from - (end - chunk.length), to - (end - chunk.length)));
      if (tensor.end > end) break;
      this.tensorIndex += 1;
      this.reported = false;
    }
    this.at = end;
  }

  /** `bytes` are the tensor's from the file offset `from` on. */
  private scan(tensor: TensorInfo, from: number, bytes: Uint8Array): void {
    if (!isFloatDtype(tensor.dtype)) return;
    const joined = this.rest.length === 0 ? bytes : concat(this.rest, bytes);
    const first = (from - this.rest.length - tensor.begin) / ELEMENT_BYTES[tensor.dtype];
    const whole = joined.length - (joined.length % ELEMENT_BYTES[tensor.dtype]);
    this.rest = new Uint8Array(joined.subarray(whole)); // a copy: the chunk is not ours
    this.copies.push(tensor, joined.subarray(0, whole));
    const { largest, notFinite } = scanFloats(tensor.dtype, joined.subarray(0, whole));
    if (largest && largest.magnitude > (this.largest.get(tensor.name)?.magnitude ?? 0)) {
      this.largest.set(tensor.name, { ...largest, index: first + largest.index });
    }
    if (notFinite === undefined || this.reported) return;
    this.reported = true;
    const index = unravel(first + notFinite.index, tensor.shape);
    this.problems.push({
      code: 'weights_not_finite',
      message: `${tensor.name}[${index.join(', ')}] is ${notFinite.value}.`,
      tensor: tensor.name,
      found: String(notFinite.value),
    });
  }

  withoutEffect(modules: readonly ManifestModule[]): AdapterProblem[] {
    if (modules.some((module) => this.changes(module))) return [];
    const message =
      'The adapter changes nothing: in every module lora_A or lora_B is zero, and nothing is replaced.';
    return [{ code: 'no_effect', message }];
  }

  /** Whether replaced weights equal the base's cannot be seen here; they count as a change. */
  private changes({ lora, magnitude, weight, bias, tokenRows }: ManifestModule): boolean {
    if (magnitude || weight || bias || tokenRows) return true;
    if (lora === undefined) return false;
    const product = hasProduct(lora, this.largest.get(lora.a.name), this.largest.get(lora.b.name));
    return product || (lora.loraBias !== undefined && this.largest.has(lora.loraBias.name));
  }
}

const ELEMENT_BYTES: Readonly<Record<FloatDtype, number>> = { F64: 8, F32: 4, F16: 2, BF16: 2 };

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}

/** The place of an element in a tensor, slowest dimension first. */
function unravel(index: number, shape: readonly number[]): number[] {
  let rest = index;
  return shape
    .toReversed()
    .map((size) => {
      const at = rest % size;
      rest = Math.floor(rest / size);
      return at;
    })
    .toReversed();
}
