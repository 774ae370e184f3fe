import { createHash, type Hash } from 'node:crypto';
import type { AdapterManifest, ManifestModule } from '#contracts/adapter-manifest.js';
import type { AdapterReport } from '#contracts/adapter-report.js';
import type { BaseModel } from '#contracts/base-model.js';
import type { TensorInfo } from '#safetensors/header.js';
import { vocabularyModules } from './vocabulary-modules.js';

/*
 * PEFT saves the embedding and the head with an adapter when the vocabulary was resized, or when asked to, whether training
 * changed them or not. A copy of the base's own is known by its digest, and left out: it would take as much memory as the
 * whole adapter, and keep it from being scaled or added to others.
 */

type Vocabulary = NonNullable<BaseModel['vocabularyWeights']>[number];

export class BaseCopies {
  private readonly candidates = new Map<string, { readonly base: Vocabulary; readonly hash: Hash }>();
  private readonly different = new Set<string>();

  constructor(
    { modules }: Pick<AdapterManifest, 'modules'>,
    base: Pick<BaseModel, 'modules' | 'vocabSize' | 'vocabularyWeights'>,
  ) {
    const { table, head } = vocabularyModules(base);
    for (const { module, weight } of modules) {
      if (weight === undefined || (module !== table?.name && module !== head?.name)) continue;
      // A tied head has no digest of its own: it is the table.
      const own = base.vocabularyWeights?.find((candidate) => candidate.module === module);
      const original = own ?? base.vocabularyWeights?.find((candidate) => candidate.module === table?.name);
      const before = this.candidates.get(weight.name);
      if (original === undefined || (before && before.base.sha256 !== original.sha256)) {
        this.different.add(weight.name);
      } else if (original.dtype === weight.dtype || (original.dtype === 'BF16' && weight.dtype === 'F32')) {
        this.candidates.set(weight.name, { base: original, hash: createHash('sha256') });
      }
    }
  }

  /** The next bytes of a tensor, whole elements. */
  push({ name, dtype }: Pick<TensorInfo, 'name' | 'dtype'>, bytes: Uint8Array): void {
    const candidate = this.candidates.get(name);
    if (candidate === undefined || this.different.has(name)) return;
    if (dtype === candidate.base.dtype) {
      candidate.hash.update(bytes);
      return;
    }
    const narrowed = asBf16(bytes);
    if (narrowed === undefined) this.different.add(name);
    else candidate.hash.update(narrowed);
  }

  /** Names of the tensors that are the base's own, once the whole file has been pushed. */
  found(): string[] {
    return [...this.candidates].flatMap(([name, { base, hash }]) =>
      !this.different.has(name) && hash.digest('hex') === base.sha256 ? [name] : [],
    );
  }
}

/** float32 as bfloat16; undefined: a number needs more bits. */
function asBf16(bytes: Uint8Array): Uint8Array | undefined {
  const narrowed = new Uint8Array(bytes.length / 2);
  for (let from = 0, to = 0; from < bytes.length; from += 4, to += 2) {
    if (bytes[from] !== 0 || bytes[from + 1] !== 0) return undefined;
    narrowed[to] = bytes[from + 2] ?? 0;
    narrowed[to + 1] = bytes[from + 3] ?? 0;
  }
  return narrowed;
}

/** The modules without those copies; one that changes nothing else is gone. */
export function withoutCopies(
  modules: readonly ManifestModule[],
  copies: readonly string[],
): ManifestModule[] {
  return modules.flatMap((module): ManifestModule[] => {
    const { weight, ...rest } = module;
    if (weight === undefined || !copies.includes(weight.name)) return [module];
    const { module: _, ...changes } = rest;
    return Object.keys(changes).length > 0 ? [rest] : [];
  });
}

/** The report, with what was left out. */
export function reportCopies(report: AdapterReport, copies: readonly string[]): AdapterReport {
  if (copies.length === 0) return report;
  const isCopy = (name: string | undefined): boolean => name !== undefined && copies.includes(name);
  const warnings = [
    ...report.warnings.filter(({ code, tensor }) => code !== 'base_weight_replaced' || !isCopy(tensor)),
    ...copies.map((tensor) => ({
      code: 'base_weight_identical' as const,
      message: `${tensor} is the base model's own weight, bit for bit, and was left out.`,
      tensor,
    })),
  ];
  const tensors = report.tensors.map((row) => (isCopy(row.name) ? { ...row, role: 'unused' as const } : row));
  const totals = report.totals && { ...report.totals, warnings: warnings.length };
  return { ...report, warnings, tensors, ...(totals && { totals }) };
}
