import { RenderThread } from './render-thread.js';

/** Larger templates are refused: none that is published comes near. */
export const TEMPLATE_LIMIT_BYTES = 2 ** 20;

export interface TemplateProblem {
  readonly kind: 'invalid' | 'unusable';
  readonly message: string;
}

/** What every chat template must render. */
const PLAIN_CHAT = JSON.stringify({ messages: [{ role: 'user', content: 'Hello' }] });
/** Where the base model's own are not known. */
const USUAL_TOKENS = { bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>', pad_token: '<pad>' };
const LIMITS = { timeout_ms: 2_000, memoryMegabytes: 128 };

/** Compiles a template and renders a plain chat with it, in a thread of its own; undefined when nothing is wrong. */
export async function checkTemplate(
  source: string,
  specialTokens: Readonly<Record<string, string>> = USUAL_TOKENS,
): Promise<TemplateProblem | undefined> {
  if (source.trim() === '') return { kind: 'unusable', message: 'The chat template is empty.' };
  const thread = new RenderThread(LIMITS, { controlTokens: [], guardAlways: false });
  try {
    const chat = { conversation: PLAIN_CHAT, addGenerationPrompt: true, specialTokens, trusted: true };
    const answer = await thread.render({ source, chat });
    if ('failure' in answer) {
      if (answer.failure === 'internal') throw new Error(answer.message);
      return answer.failure === 'does_not_compile'
        ? { kind: 'invalid', message: `The chat template does not compile: ${answer.message}` }
        : {
            kind: 'unusable',
            message: `The chat template does not render a plain chat (one user message): ${answer.message}`,
          };
    }
    if (answer.text !== '') return undefined;
    return {
      kind: 'unusable',
      message: 'The chat template renders a plain chat (one user message) as nothing.',
    };
  } finally {
    await thread.close();
  }
}
