import type { GenerateEvent } from '#contracts/engine-protocol.js';
import type { EmbeddingsRequest, EmbeddingsResponse } from '#contracts/openai/embeddings.js';
import type { CompletionUsage } from '#contracts/openai/usage.js';
import type { AnswerFormat, AnswerHead } from './answer-format.js';

/** Engine events of /v1/embeddings as OpenAI's list of vectors. It is never streamed. */
export class EmbeddingFormat implements AnswerFormat {
  readonly #vectors = new Map<number, Float32Array>();

  constructor(
    private readonly head: Pick<AnswerHead, 'model'>,
    private readonly request: Pick<EmbeddingsRequest, 'dimensions' | 'encoding_format'>,
  ) {}

  chunks(): object[] {
    return [];
  }

  closing(): object[] {
    return [];
  }

  add(sequence: number, event: GenerateEvent): void {
    if (event.type !== 'embedding') return;
    const vector = floatsOf(event.values);
    const { dimensions } = this.request;
    this.#vectors.set(sequence, dimensions ? firstOf(vector, dimensions, event.normalized) : vector);
  }

  whole({ prompt_tokens, total_tokens }: CompletionUsage): EmbeddingsResponse {
    const data = [...this.#vectors]
      .sort(([a], [b]) => a - b)
      .map(([index, vector]) => ({ object: 'embedding' as const, index, embedding: this.#written(vector) }));
    return { object: 'list', data, model: this.head.model, usage: { prompt_tokens, total_tokens } };
  }

  #written(vector: Float32Array): number[] | string {
    if (this.request.encoding_format !== 'base64') return [...vector];
    return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64');
  }
}

/** float32 in little-endian order; copied, as a Buffer may begin at any byte. */
export function floatsOf(base64: string): Float32Array {
  return new Float32Array(new Uint8Array(Buffer.from(base64, 'base64')).buffer);
}

/** The first numbers of a vector, with its length. */
function firstOf(vector: Float32Array, dimensions: number, normalized: boolean): Float32Array {
  const first = vector.slice(0, dimensions);
  const length = Math.sqrt(first.reduce((sum, value) => sum + value * value, 0));
  return normalized && length > 0 ? first.map((value) => value / length) : first;
}
