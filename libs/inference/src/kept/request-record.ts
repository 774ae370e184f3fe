import type { LoggedRequest } from '#contracts/request-log-api.js';
import type { GenerateEvent, GenerateRequest } from '#contracts/engine-protocol.js';
import type { GenerationPlan, Sequence } from '../plan/generation-plan.js';

/** Characters of a prompt, and of each answer, that are kept. */
const MOST_CHARACTERS = 32_768;
const MOST_ANSWERS = 16;

type Recorded = Pick<LoggedRequest, 'kind' | 'finish_reason' | 'input' | 'outputs' | 'text_cut'>;

/** What a request asked and was answered, for tenants that want it kept; text only where they want that too. */
export class RequestRecord {
  readonly #outputs: string[] = [];
  #finishReason: string | null = null;
  #cut = false;

  constructor(
    private readonly plan: GenerationPlan,
    private readonly text: boolean,
  ) {}

  note(sequence: number, event: GenerateEvent): void {
    if (event.type === 'finish') this.#finishReason ??= event.reason;
    if (!this.text || (event.type !== 'tokens' && event.type !== 'finish')) return;
    if (sequence >= MOST_ANSWERS) {
      this.#cut = true;
      return;
    }
    while (this.#outputs.length <= sequence) this.#outputs.push('');
    const whole = (this.#outputs[sequence] ?? '') + event.text;
    this.#cut ||= whole.length > MOST_CHARACTERS;
    this.#outputs[sequence] = whole.slice(0, MOST_CHARACTERS);
  }

  get recorded(): Recorded {
    const [first] = this.plan.sequences;
    const kind = first ? kindOf(first) : 'completion';
    const nothing = { kind, finish_reason: this.#finishReason } as const;
    if (!this.text) return { ...nothing, input: null, outputs: null, text_cut: false };
    const input = inputOf(first);
    return { ...nothing, input, outputs: this.#outputs, text_cut: this.#cut || input === null };
  }
}

function kindOf({ request }: Sequence): Recorded['kind'] {
  if (request.embedding) return 'embedding';
  return request.input.kind === 'chat' ? 'chat' : 'completion';
}

/** Null where it is too long: half a prompt would be another one. */
function inputOf(sequence: Sequence | undefined): LoggedRequest['input'] {
  const input = sequence && promptOf(sequence.request.input);
  if (input === undefined || JSON.stringify(input).length > MOST_CHARACTERS) return null;
  return input;
}

function promptOf(input: GenerateRequest['input']): NonNullable<LoggedRequest['input']> | undefined {
  if (input.kind === 'text')
    return { prompt: input.text, ...(input.suffix === undefined ? {} : { suffix: input.suffix }) };
  if (input.kind === 'tokens') return { prompt: input.tokens };
  if (input.conversation.length > MOST_CHARACTERS) return undefined;
  const { messages } = JSON.parse(input.conversation) as { messages: { role: string }[] };
  return { messages };
}
