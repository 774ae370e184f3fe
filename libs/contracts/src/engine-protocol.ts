import { z } from 'zod';
import { BaseModelSchema } from './base-model.js';
import { AnswerFormatsSchema, WantedFormatsSchema } from './chat-formats.js';
import { ERROR_CODES } from './errors.js';
import { DEFAULTABLE_NUMBERS, SamplingSchema } from './sampling.js';
import { StructureWishSchema } from './structure-wish.js';

/*
 * The engine's internal HTTP. Bearer ENGINE_TOKEN on every route but /health/*.
 *   POST   /generate            GenerateRequest -> NDJSON lines of GenerateEvent; faults found before the stream
 *                               starts answer the error envelope with its status. Closing the connection cancels.
 *   POST   /tokenize            TokenizeRequest -> Tokenized
 *   POST   /detokenize          DetokenizeRequest -> Detokenized
 *   GET    /status              EngineStatus
 *   POST   /adapters/{digest}   load now (optional warm-up) -> 204
 *   DELETE /adapters/{digest}   drop once its last request ends -> 204
 *   POST   /drain, /undrain     take no new requests (state `draining`), and take them again -> 204
 *   GET    /metrics, /health/live, /health/ready
 */

const tokenId = z.int().nonnegative();
const MOST_CHOICES = 128;
const MOST_PRIORITY = 2 ** 31;
const MOST_SCALE = 100;
/** Adapters that answer one request together. */
export const MOST_COMPOSED = 4;
/** Which answer of a request with `n` it is of; absent: the only one. `start` and `prompt` come once for all. */
const choice = z.int().nonnegative().optional();

/** What an adapter's own defaults may fill in. */
export const DEFAULTED_FIELDS = [...DEFAULTABLE_NUMBERS, 'maxTokens'] as const;
export type DefaultedField = (typeof DEFAULTED_FIELDS)[number];

const InputSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('tokens'), tokens: z.array(tokenId) }),
  z.object({
    kind: z.literal('text'),
    text: z.string(),
    /** What comes after the answer: it fills in what is missing between. Then no text is a control token. */
    suffix: z.string().min(1).optional(),
    /** What the tokenizer puts around text (a BOS, say). Absent: yes. */
    addSpecialTokens: z.boolean().optional(),
  }),
  z.object({
    kind: z.literal('chat'),
    /** JSON text as `chatInput` writes it: read only by the thread that renders it, and with its numbers' spelling. */
    conversation: z.string(),
    messageCount: z.int().positive(),
    hasTools: z.boolean(),
    addGenerationPrompt: z.boolean(),
    /** The prompt ends where the last message's text does, so that the answer goes on with it. Absent: no. */
    continueFinalMessage: z.boolean().optional(),
  }),
]);

const WishedCallsSchema = z.object({
  tools: z
    .array(
      z.object({
        name: z.string(),
        /** Of its arguments; `field` is the caller's, for faults. */
        schema: z.unknown(),
        field: z.string(),
        /** Whether the arguments have to fit also where the call itself is the model's choice. */
        strict: z.boolean(),
      }),
    )
    .min(1),
  /** The answer must be a call. */
  required: z.boolean(),
  /** Several calls may follow each other. */
  parallel: z.boolean(),
});
export type WishedCalls = z.infer<typeof WishedCallsSchema>;

/** How beams are compared. */
const BeamWishSchema = z.object({
  /** An answer's score is its log-probability / length ^ lengthPenalty. */
  lengthPenalty: z.number(),
  /**
   * Once as many answers have ended as there are beams: `true` stops, `false` goes on while a beam may become better as long
   * as it is now, `never` as long as it may get.
   */
  earlyStopping: z.union([z.boolean(), z.literal('never')]),
});
export type BeamWish = z.infer<typeof BeamWishSchema>;

export const GenerateRequestSchema = z.object({
  requestId: z.string(),
  /** Separates prefix caches of tenants; requests share cached pages only under the same salt. */
  cacheSalt: z.string(),
  /** Requests with the same key share one turn in fairness. */
  fairnessKey: z.string(),
  /** Share of the key, 1 when absent: of two that always wait, one with 2 is served twice the tokens. */
  fairnessWeight: z.number().min(0.001).max(1000).optional(),
  /** Among the waiting requests of its key the lower comes first, 0 when absent; other keys' turns stay theirs. */
  priority: z.int().min(-MOST_PRIORITY).max(MOST_PRIORITY).optional(),
  /** The version's digest, or that of the composition; absent: the base model. */
  adapter: z.string().optional(),
  /** Several adapters as one, the sum of their deltas. The first one's chat template and defaults hold. */
  composition: z
    .array(z.object({ digest: z.string(), weight: z.number().min(-MOST_SCALE).max(MOST_SCALE) }))
    .min(2)
    .max(MOST_COMPOSED)
    .optional(),
  /** What the adapter's low-rank deltas are multiplied by, 1 when absent; only of one that has nothing else. */
  adapterScale: z.number().min(-MOST_SCALE).max(MOST_SCALE).optional(),
  input: InputSchema,
  /** Keep only so many of the prompt's last tokens, or as many as leave room for the completion. Absent: all. */
  keepPromptTokens: z.union([z.int().positive(), z.literal('room')]).optional(),
  /** Absent: up to the end of the context. 0: only score the prompt. */
  maxTokens: z.int().nonnegative().optional(),
  /** Tokens that prompt and completion may have in all; absent: what the model can. */
  maxContext: z.int().positive().optional(),
  minTokens: z.int().nonnegative(),
  ignoreEos: z.boolean(),
  stop: z.array(z.string().min(1)),
  stopTokenIds: z.array(tokenId),
  /** Keep the stop string in the text. */
  includeStop: z.boolean(),
  /** Which special tokens are part of the text, by their spelling. Absent: none. */
  shownSpecialTokens: z.union([z.literal('all'), z.array(z.string())]).optional(),
  /** Of a chat: what of the answer is to be told apart; `start` then says how it is written. Absent: it is text. */
  wantedFormats: WantedFormatsSchema.optional(),
  /** What structure the answer has, as far as it is not cut; `field` is the caller's, for faults. Absent: any. */
  structure: z.object({ wish: StructureWishSchema, field: z.string() }).optional(),
  /** Of a chat, with wantedFormats: calls of tools are held to these. Absent: to nothing. */
  calls: WishedCallsSchema.optional(),
  /** Nothing else is drawn. Absent: every token may be. */
  allowedTokenIds: z.array(tokenId).min(1).optional(),
  /** Texts whose tokens, alone or after a space, are never drawn in a row. */
  badWords: z.array(z.string().min(1)).optional(),
  sampling: SamplingSchema,
  /** Fields that the caller did not give: an adapter's own defaults (its generation_config.json) take their place. */
  defaulted: z.array(z.enum(DEFAULTED_FIELDS)).optional(),
  /**
   * Guess tokens ahead: they are checked, so the answer is the same. Absent: as the engine is set; `{}`: off.
   * Requests with a structure never speculate.
   */
  speculation: z
    .object({
      ngram: z
        .object({
          /** Tokens to guess at most in one step. */
          maxDraft: z.int().min(1).max(32),
          /** How many of the last tokens must have occurred before in this order. */
          minMatch: z.int().min(1).max(16),
        })
        .optional(),
      /** By the draft model, if the engine has one and where it pays. */
      draft: z.object({ maxDraft: z.int().min(1).max(16) }).optional(),
    })
    .optional(),
  /** What the answer probably is: drafts are taken from it first. They are checked, so the answer is the same. */
  prediction: z.string().min(1).optional(),
  /** Number of alternatives with each completion token's log-probability; absent: no log-probabilities. */
  logprobs: z.int().min(0).max(20).optional(),
  /** With `logprobs`: the log-probabilities of these tokens, in this order, in place of the most likely ones'. */
  logprobTokenIds: z.array(tokenId).min(1).max(20).optional(),
  /** The same for the prompt's tokens. */
  promptLogprobs: z.int().min(0).max(20).optional(),
  /** The prompt as one vector, as the checkpoint pools its hidden states: with maxTokens 0 and one answer. */
  embedding: z.literal(true).optional(),
  /** Ask `start` to carry the prompt's token ids. */
  returnPromptTokens: z.boolean(),
  /** Answers to the one prompt, 1 when absent; answer i draws with seed + i. The stream ends when all have finished. */
  n: z.int().min(1).max(MOST_CHOICES).optional(),
  /** The `n` best answers that a beam search of `n` beams finds, best first. Nothing is drawn by chance. */
  beam: BeamWishSchema.optional(),
});
export type GenerateRequest = z.infer<typeof GenerateRequestSchema>;

/** What the tokens of an input are, without computing anything. */
export const TokenizeRequestSchema = GenerateRequestSchema.pick({
  fairnessKey: true,
  adapter: true,
  input: true,
}).extend({
  /** Ask for the tokens as the vocabulary spells them. */
  returnNames: z.boolean(),
});
export type TokenizeRequest = z.infer<typeof TokenizeRequestSchema>;
export const TokenizedSchema = z.object({ tokens: z.array(tokenId), names: z.array(z.string()).optional() });
export type Tokenized = z.infer<typeof TokenizedSchema>;

export const DetokenizeRequestSchema = z.object({ tokens: z.array(tokenId) });
export type DetokenizeRequest = z.infer<typeof DetokenizeRequestSchema>;
/** With special tokens. */
export const DetokenizedSchema = z.object({ text: z.string() });
export type Detokenized = z.infer<typeof DetokenizedSchema>;

/** A token with the bytes it stands for (text may be U+FFFD where the bytes are no whole character). */
export const TokenChoiceSchema = z.object({
  id: tokenId,
  text: z.string(),
  bytes: z.array(z.int()),
  /** Natural log-probability under the raw logits, before temperature, penalties and bias. */
  logprob: z.number(),
});
export type TokenChoice = z.infer<typeof TokenChoiceSchema>;

export const ScoredTokenSchema = TokenChoiceSchema.extend({
  top: z.array(TokenChoiceSchema),
  /** A special token: it counts, but is no part of the text. */
  notInText: z.literal(true).optional(),
});
export type ScoredToken = z.infer<typeof ScoredTokenSchema>;

export const FinishReasonSchema = z.enum(['stop', 'length']);
export type FinishReason = z.infer<typeof FinishReasonSchema>;

export const GenerateEventSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('start'),
    promptTokens: z.int(),
    promptTokenIds: z.array(tokenId).optional(),
    /** Only with wantedFormats. */
    formats: AnswerFormatsSchema.optional(),
  }),
  /**
   * Only with promptLogprobs: one line once the whole prompt is scored; the first token has no log-probability.
   * `text` is the prompt as decoded, `tokens[i].textOffset` where token i starts in it (UTF-16 units).
   */
  z.object({
    type: z.literal('prompt'),
    text: z.string(),
    tokens: z.array(
      z.object({
        id: tokenId,
        text: z.string(),
        bytes: z.array(z.int()),
        logprob: z.number().nullable(),
        top: z.array(TokenChoiceSchema),
        textOffset: z.int().nonnegative(),
      }),
    ),
  }),
  /** Only with embedding: float32 in little-endian order, as base64. */
  z.object({ type: z.literal('embedding'), values: z.string(), normalized: z.boolean() }),
  /** `text` never holds half a character or part of a possible stop string, so it may lag behind `tokens`. */
  z.object({
    type: z.literal('tokens'),
    choice,
    text: z.string(),
    ids: z.array(tokenId),
    /** With logprobs: one for each of `ids`. */
    scored: z.array(ScoredTokenSchema).optional(),
  }),
  z.object({
    type: z.literal('finish'),
    choice,
    reason: FinishReasonSchema,
    /** The stop string or token id that ended it, or null (end of sequence, length). */
    stopReason: z.union([z.string(), z.int(), z.null()]),
    /** Text held back until now. */
    text: z.string(),
    usage: z.object({
      promptTokens: z.int(),
      cachedTokens: z.int(),
      completionTokens: z.int(),
      /** Only of an activated LoRA: tokens of the prompt from its invocation on, 0 where it was not invoked. */
      adapterTokens: z.int().optional(),
      /** Only with a prediction: tokens drafted from it that were drawn, and that were not. */
      predicted: z.object({ accepted: z.int(), rejected: z.int() }).optional(),
    }),
    /** From the request's arrival on. */
    timing: z.object({
      queue_ms: z.number(),
      ttft_ms: z.number(),
      total_ms: z.number(),
      /** When its adapter was asked for, and when it was there; absent for the base model. */
      adapter: z.object({ asked_ms: z.number(), ready_ms: z.number() }).optional(),
    }),
  }),
  z.object({
    type: z.literal('error'),
    code: z.enum(ERROR_CODES),
    message: z.string(),
    /** It hit requests whatever their version is, e.g. a step that failed: it says nothing of this one's. */
    shared: z.boolean().optional(),
  }),
]);
export type GenerateEvent = z.infer<typeof GenerateEventSchema>;

/** `fetch`: from storage to the host; `load`: from there to the device; `evict`: off the device, for others. */
export const ADAPTER_MOVES = ['fetch', 'load', 'evict'] as const;
const AdapterMoveSchema = z.object({
  kind: z.enum(ADAPTER_MOVES),
  digest: z.string(),
  /** When it ended. */
  at: z.iso.datetime(),
  seconds: z.number(),
  failed: z.boolean(),
});
export type AdapterMove = z.infer<typeof AdapterMoveSchema>;

export const EngineStatusSchema = z.object({
  /** Stable name of this engine process, e.g. `cpu-0`. */
  engine: z.string(),
  state: z.enum(['loading', 'ready', 'draining', 'failed']),
  device: z.string(),
  /** Why DEVICE=auto took the CPU. */
  deviceReason: z.string().optional(),
  startedAt: z.iso.datetime().optional(),
  /** Absent while loading. */
  base: BaseModelSchema.optional(),
  load: z.object({
    runningRequests: z.int(),
    waitingRequests: z.int(),
    /** Tokens still to be computed for all of them. */
    queuedTokens: z.int(),
  }),
  kv: z.object({
    pages: z.int(),
    /** Nobody holds them; those of them that are cached prefixes give way. */
    freePages: z.int(),
    /** Pages whose prefix can be found again, held or free. */
    cachedPages: z.int().optional(),
    pageTokens: z.int(),
    bytes: z.int(),
  }),
  adapters: z.object({
    bytes: z.int(),
    limitBytes: z.int(),
    /** Weights kept on the host, on their way to the device. */
    hostBytes: z.int().optional(),
    /** Digests of those weights. */
    host: z.array(z.string()).optional(),
    /** Those that make room first come first; those with requests only once these end. */
    resident: z.array(z.object({ digest: z.string(), bytes: z.int(), requests: z.int() })),
    /** Adapters for which requests wait, on their way to the device or again. */
    waiting: z.array(z.object({ digest: z.string(), requests: z.int() })).optional(),
    /** What moved last, oldest first. */
    moves: z.array(AdapterMoveSchema).optional(),
  }),
  /** What the model holds of the device's memory. Absent while it is not open. */
  memory: z
    .object({
      weightBytes: z.int(),
      kvBytes: z.int(),
      adapterBytes: z.int(),
      /** Activations, and what steps have made the device take beside them. */
      scratchBytes: z.int(),
    })
    .optional(),
  /** Absent: no draft model guesses tokens ahead. */
  draft: z
    .object({
      name: z.string(),
      kv: z.object({ pages: z.int(), freePages: z.int(), pageTokens: z.int() }),
      memory: z.object({ weightBytes: z.int(), kvBytes: z.int(), scratchBytes: z.int() }),
    })
    .optional(),
  batch: z
    .object({
      maxSequences: z.int(),
      maxStepTokens: z.int(),
      /** Tokens that a step has computed of late; absent until there was one. */
      rows: z.number().optional(),
    })
    .optional(),
  /** What a router weighs; each figure is absent until it was measured. */
  pace: z
    .object({
      /** `queuedTokens` and what the running and waiting requests will probably generate. */
      backlogTokens: z.int(),
      /** Rows that one second of computing is worth in a full batch. */
      tokensPerSecond: z.number().positive().optional(),
      /**
       * Against the same steps without adapters, by what this engine took for steps that had none. Absent also when nothing
       * was computed in the last minute.
       */
      withoutAdapters: z
        .object({ share: z.number().min(0).max(1), tokensPerSecond: z.number().positive() })
        .optional(),
      /** From its host, or from storage, to the device. */
      loadSeconds: z.object({ host: z.number().optional(), storage: z.number().optional() }),
    })
    .optional(),
});
export type EngineStatus = z.infer<typeof EngineStatusSchema>;
