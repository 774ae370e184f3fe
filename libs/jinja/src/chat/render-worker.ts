import { parentPort, workerData } from 'node:worker_threads';
import { TemplateFault, TemplateSyntaxError } from '../errors.js';
import { Template } from '../template.js';
import { chatValues } from './chat-values.js';
import { ControlTokenGuard } from './control-tokens.js';
import { cutAtTag } from './final-message.js';
import type { RenderAnswer, RenderFailure, RenderJob, RenderWorkerData } from './render-thread.js';

/*
 * The render thread's program: it takes one job after the other, and holds no state but the templates it compiled.
 */
const KEPT_TEMPLATES = 64;
const guardOf = ({ controlTokens, guardAlways }: RenderWorkerData): ControlTokenGuard =>
  new ControlTokenGuard(controlTokens, guardAlways);
const guard = guardOf(workerData as RenderWorkerData);
const compiled = new Map<string, Template>();

function templateOf(source: string): Template {
  const known = compiled.get(source);
  if (known !== undefined) return known;
  const template = new Template(source);
  const [oldest] = compiled.keys();
  if (compiled.size >= KEPT_TEMPLATES && oldest !== undefined) compiled.delete(oldest);
  compiled.set(source, template);
  return template;
}

function answer({ source, chat, guard: own }: RenderJob): RenderAnswer {
  try {
    const whole = templateOf(source).render(chatValues(chat));
    const rendered = chat.continueFinalMessage ? cutAtTag(whole) : whole;
    return chat.trusted
      ? { text: rendered.text, respelled: false }
      : (own ? guardOf(own) : guard).guard(rendered);
  } catch (error) {
    return { failure: failureOf(error), message: messageOf(error) };
  }
}

function failureOf(error: unknown): RenderFailure {
  if (error instanceof TemplateSyntaxError) return 'does_not_compile';
  return error instanceof TemplateFault ? 'fails' : 'internal';
}

/** A template may raise a message of any length. */
function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, 500);
}

// A thread's port has no origin to name.
const send = (message: 'ready' | RenderAnswer): void => void parentPort?.postMessage(message, []);
parentPort?.on('message', (job: RenderJob) => send(answer(job)));
send('ready');
