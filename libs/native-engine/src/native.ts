import type { AdapterManifest } from '#contracts/adapter-manifest.js';
import type { BaseExperts, BaseModule } from '#contracts/base-model.js';
import type { DenseChange } from '#contracts/parity.js';

/* The typed face of the addon. One process opens one model; a step is one crossing into native. */

export type Quantization = 'none' | 'int8' | 'int4' | 'nf4';
/** A checkpoint's own codes, which are kept whatever is asked for (docs/quantization.md). */
export type PackedFormat = 'gptq' | 'awq' | 'compressed-tensors' | 'fp8' | 'bitsandbytes-int8' | 'mlx';
/** What can be known of a checkpoint without its weights. */
export interface ModelInspection {
  /** Positions that the model knows: prompt and completion together. */
  readonly maxPositions: number;
  /** What one token takes in the KV cache of all layers, in bytes. */
  readonly kvTokenBytes: Readonly<Record<KvDtype, number>>;
  /** What every page takes beside its tokens: the states of recurrent layers. */
  readonly kvStateBytes: number;
  /** What the network computes, in words; `-` where there is nothing to say. */
  readonly features: NetworkFeatures;
  /** Of a GGUF file: its metadata. */
  readonly gguf?: GgufMetadata;
  /** How the checkpoint itself keeps its linear maps; `none` where they are plain. */
  readonly quantization: Exclude<Quantization, 'int8' | 'int4'> | 'mxfp4' | PackedFormat;
}

/** Values by key: texts, numbers, booleans, and lists of them. */
export type GgufMetadata = Readonly<Record<string, unknown>>;

export interface NetworkFeatures {
  readonly norms: string;
  readonly positions: string;
  readonly attention: string;
  readonly mlp: string;
  /** Multipliers, caps, how a layer's parts are added. */
  readonly others: string;
}

/** Of keys and values; `int8` with a float32 scale for each key and each value. */
export type KvDtype = 'f32' | 'f16' | 'bf16' | 'int8';
/**
 * Of an adapter's matrices: as its file has them; float32 in bfloat16; or A and B of the linear maps in int8 with two scales
 * for each rank, where that loses little, and the others as with `bf16`.
 */
export type AdapterDtype = 'stored' | 'bf16' | 'int8';

/** What a CUDA device is and has. */
export interface CudaProbe {
  readonly device: string;
  readonly freeBytes: number;
  readonly totalBytes: number;
}

export interface OpenOptions {
  /** Folder with config.json and *.safetensors, or a GGUF file. */
  readonly modelPath: string;
  readonly backend: 'cpu' | 'cuda' | 'reference';
  /** Which of several CUDA devices; 0 when left out. */
  readonly device?: number;
  /** A CUDA device that has not ended a step after so long is lost. When left out, it is waited for. */
  readonly deadline_ms?: number;
  readonly threads: number;
  /**
   * How the base's linear maps are kept, unless the checkpoint is quantized already; the head and the embedding are int8
   * when this is not `none`.
   */
  readonly quantization: Quantization;
  /** `stored` when left out. mergeAdapter rounds in the same way. */
  readonly adapterDtype?: AdapterDtype;
  /** Tokens that adapters may have beyond the base's vocabulary, where the device can do it; none when left out. */
  readonly extraTokens?: number;
  /** Its threads give way to all others of the machine. */
  readonly background?: boolean;
  /** Forces an instruction set: tests only. */
  readonly isa?: 'portable' | 'avx2' | 'avx512' | 'avx512vnni';
  readonly maxStepTokens: number;
  readonly maxSequences: number;
  readonly kv: {
    readonly bytes: number;
    readonly pageTokens: number;
    readonly dtype: KvDtype;
  };
}

/** What config.json and the weights turned out to be. */
export interface ModelDescription {
  /** config.json's model_type, of a vision-language checkpoint the text part's. */
  readonly family: string;
  readonly architecture: string;
  readonly hiddenSize: number;
  readonly numLayers: number;
  readonly vocabSize: number;
  /** Adapters may have so many tokens more, or fewer than the base; absent: they must have the base's vocabulary. */
  readonly extraTokens?: number;
  readonly maxPositions: number;
  readonly tieWordEmbeddings: boolean;
  readonly eosTokenIds: readonly number[];
  readonly bosTokenId: number | undefined;
  readonly modules: readonly BaseModule[];
  readonly experts: readonly BaseExperts[];
  /** BaseModel's. */
  readonly unreadModules: readonly string[];
  /** Tensors of the checkpoint that text needs nothing of: of pictures and sounds, of layers for training, or never read. */
  readonly ignoredTensors: number;
  /** Where the checkpoint's files hold the embedding and, unless it is tied, the output head; not what is quantized. */
  readonly vocabularyWeights: readonly {
    readonly module: string;
    readonly path: string;
    readonly dtype: 'F32' | 'F16' | 'BF16';
    readonly begin: number;
    readonly end: number;
  }[];
  /** Of the layers' linear maps: the checkpoint's own where it is quantized already. */
  readonly quantization: Quantization | PackedFormat;
  /** e.g. "cpu avx512 2 threads". */
  readonly device: string;
  /** Pages that fit in kv.bytes. */
  readonly kvPages: number;
  readonly kvBytesPerPage: number;
  /** Tokens of a page. */
  readonly kvPageTokens: number;
  readonly weightBytes: number;
}

export interface AdapterSpec {
  /** The safetensors file; native maps it, repacks, and lets it go. */
  readonly weightsPath: string;
  readonly modules: AdapterManifest['modules'];
  /** Tokens that its embedding and head have; absent: the base's. */
  readonly vocabSize?: number | undefined;
}
/** One of several adapters of low-rank deltas alone, which become one: the sum of their deltas, each times its weight. */
export interface WeightedAdapter extends AdapterSpec {
  readonly weight: number;
}
export interface LoadedAdapter {
  /** Small positive integer, valid until dropAdapter. */
  readonly handle: number;
  readonly bytes: number;
}

export interface DenseMergeSpec {
  /** The safetensors file. */
  readonly weightsPath: string;
  readonly changes: readonly DenseChange[];
  /** AdapterSpec's. */
  readonly vocabSize?: number | undefined;
}

/** Of the device. Scratch: activations, and what else the largest step works in. */
export interface MemoryUse {
  readonly weightBytes: number;
  readonly kvBytes: number;
  readonly adapterBytes: number;
  readonly scratchBytes: number;
}

export const MAX_TOP_LOGPROBS = 20;

/** Where a thread of the host puts masks of tokens while a step runs: libs/grammar/src/thread/mask-slots.ts says how. */
export interface MaskMemory {
  readonly slots: number;
  /** Of one mask: ceil((vocabSize + extraTokens) / 32). */
  readonly words: number;
  readonly numbers: Int32Array; // [slots]
  readonly masks: Int32Array; // [slots, words]
}

/**
 * Everything the host decides for one step. The arrays are allocated once at their capacity and reused; the counts say
 * how much of each holds. Rows of one sequence are contiguous, and sequences are sorted so that rows of one adapter and
 * scale are contiguous. Native copies what it needs during the call, so the caller may refill the arrays at once.
 */
export interface StepPlan {
  rows: number; // T
  sequences: number; // S
  segments: number; // G
  samples: number; // R
  /** Pages per row of pageTable. */
  pageTableStride: number;
  readonly token: Int32Array; // [T]
  readonly position: Int32Array; // [T]
  readonly kvSlot: Int32Array; // [T] page * pageTokens + offset
  readonly qStart: Int32Array; // [S + 1]
  readonly kvLength: Int32Array; // [S]
  readonly pageTable: Int32Array; // [S, pageTableStride]
  readonly segment: Int32Array; // [G, 3] row0, rows, adapter handle; rows without adapter are in no segment
  /** [G] What the low-rank deltas are multiplied by, 1: as trained; another only of an adapter that has nothing else. */
  readonly segmentScale: Float32Array;
  readonly sampleRow: Int32Array; // [R] index of the row in T, ascending
  /** [R, SAMPLE_INTS] see sample-columns.ts. */
  readonly sampleInt: Int32Array;
  /** [R, SAMPLE_FLOATS] see sample-columns.ts. */
  readonly sampleFloat: Float32Array;
  /** [R, 2] seed, counter. */
  readonly sampleSeed: BigUint64Array;
  readonly historyStart: Int32Array; // [R + 1] into historyToken and historyCount
  readonly historyToken: Int32Array;
  readonly historyCount: Int32Array;
  readonly biasStart: Int32Array; // [R + 1] into biasToken and biasValue
  readonly biasToken: Int32Array;
  readonly biasValue: Float32Array;
  readonly listedStart: Int32Array; // [R + 1] into listedToken
  /** Tokens whose log-probabilities are reported in place of the most likely ones', at most MAX_TOP_LOGPROBS of one row. */
  readonly listedToken: Int32Array;
  /** Undefined: every row may draw every token. Read while the step runs, not copied. */
  masks: MaskMemory | undefined;
  readonly maskSlot: Int32Array; // [R] < 0: the row may draw every token
  /** [R] That the slot's mask has. A row whose mask is not there when its logits are is skipped (outDrawn). */
  readonly maskNumber: Int32Array;
  copies: number; // C
  /**
   * [C] KV pages that are copied, all layers, before anything of the step: copyFrom[i] to copyTo[i]. No page is copied to twice,
   * nor both to and from.
   */
  readonly copyFrom: Int32Array;
  readonly copyTo: Int32Array;
  /** Results, written when the step ends. */
  readonly outToken: Int32Array; // [R]
  readonly outFinite: Uint8Array; // [R] 0: the row's logits were not finite, or every token was banned
  readonly outDrawn: Uint8Array; // [R] 0: the row was skipped, and its other results mean nothing
  readonly outLogprob: Float32Array; // [R]
  readonly outTopCount: Int32Array; // [R]
  readonly outTopToken: Int32Array; // [R, MAX_TOP_LOGPROBS]
  readonly outTopLogprob: Float32Array; // [R, MAX_TOP_LOGPROBS]
  /** [rows of mode `hidden`, hiddenSize] in their order: what the head would have read of them. */
  outHidden: Float32Array;
}

/** One opened model. Every promise rejects with an Error whose message a user can read, and nativeErrorKind its kind. */
export interface NativeModel {
  readonly description: ModelDescription;
  /** Reads and repacks on a loader thread; steps go on meanwhile. */
  loadAdapter(spec: AdapterSpec | readonly WeightedAdapter[]): Promise<LoadedAdapter>;
  /**
   * With the `reference` backend only, and before the first step: from then on the model is the base with the adapter's
   * weights merged into its own. After a rejection it is neither, and only to be closed.
   */
  mergeAdapter(spec: DenseMergeSpec): Promise<void>;
  /** Frees at once. Rejected with a throw while a step that uses the handle runs. */
  dropAdapter(handle: number): void;
  /** Runs on the native step thread; one at a time. Resolves with the time that the step took inside native. */
  step(plan: StepPlan): Promise<{ readonly native_ms: number }>;
  memory(): MemoryUse;
  /** Waits for a running step, then frees everything. */
  close(): Promise<void>;
}
