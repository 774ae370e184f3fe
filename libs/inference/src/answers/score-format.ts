import type { GenerateEvent } from '#contracts/engine-protocol.js';
import type { RerankRequest, RerankResponse, ScoreResponse } from '#contracts/openai/score.js';
import type { CompletionUsage } from '#contracts/openai/usage.js';
import { documentsOf, type Pair } from '../plan/score-plan.js';
import type { AnswerFormat, AnswerHead } from './answer-format.js';
import { floatsOf } from './embedding-format.js';

/** How near pairs of texts are to each other: the cosine of their vectors. It is never streamed. */
abstract class ComparisonFormat implements AnswerFormat {
  readonly #vectors = new Map<number, Float32Array>();

  constructor(
    protected readonly head: AnswerHead,
    private readonly pairs: readonly Pair[],
  ) {}

  abstract whole(usage: CompletionUsage): object;

  chunks(): object[] {
    return [];
  }

  closing(): object[] {
    return [];
  }

  add(sequence: number, event: GenerateEvent): void {
    if (event.type === 'embedding') this.#vectors.set(sequence, floatsOf(event.values));
  }

  /** One of each pair. */
  protected scores(): number[] {
    return this.pairs.map(([first, second]) => cosine(this.#vector(first), this.#vector(second)));
  }

  #vector(sequence: number): Float32Array {
    const vector = this.#vectors.get(sequence);
    if (!vector) throw new TypeError(`the text ${sequence} has no vector`);
    return vector;
  }
}

/** vLLM's list of scores. */
export class ScoreFormat extends ComparisonFormat {
  whole({ prompt_tokens, total_tokens }: CompletionUsage): ScoreResponse {
    const { id, created, model } = this.head;
    const data = this.scores().map((score, index) => ({ index, object: 'score' as const, score }));
    return {
      id: `score-${id}`,
      object: 'list',
      created,
      model,
      data,
      usage: { prompt_tokens, total_tokens },
    };
  }
}

/** Documents, the most relevant first; of equal ones the first that was sent. */
export class RerankFormat extends ComparisonFormat {
  constructor(
    head: AnswerHead,
    pairs: readonly Pair[],
    private readonly request: RerankRequest,
  ) {
    super(head, pairs);
  }

  whole({ prompt_tokens, total_tokens }: CompletionUsage): RerankResponse {
    const { id, model } = this.head;
    const { top_n, return_documents } = this.request;
    const documents = documentsOf(this.request);
    const results = this.scores()
      .map((relevance_score, index) => {
        const document = { text: documents[index] as string };
        return { index, ...(return_documents === false ? {} : { document }), relevance_score };
      })
      .toSorted((a, b) => b.relevance_score - a.relevance_score || a.index - b.index)
      .slice(0, top_n || documents.length);
    return { id: `rerank-${id}`, model, results, usage: { prompt_tokens, total_tokens } };
  }
}

/** In double precision; 0 where a vector has no direction. */
function cosine(a: Float32Array, b: Float32Array): number {
  let [dot, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i += 1) {
    const [x, y] = [a[i] as number, b[i] as number];
    dot += x * y;
    aa += x * x;
    bb += y * y;
  }
  return aa === 0 || bb === 0 ? 0 : Math.max(-1, Math.min(1, dot / Math.sqrt(aa * bb)));
}
