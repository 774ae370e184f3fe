import { MOST_COMPOSED } from '#contracts/engine-protocol.js';
import { MOST_LORA_SCALE } from '#contracts/openai/generation-fields.js';
import { AppError } from '#runtime/app-error.js';

/** One adapter of `a*0.7+b`, as a model of its own would be named. */
export interface NamedPart {
  readonly model: string;
  readonly weight: number;
}

const PART = /^(?<model>[^+*]+)(?:\*(?<weight>-?\d{1,3}(?:\.\d{1,9})?))?$/;

/** The adapters that a `model` adds up, each perhaps times a weight; undefined: it names one as it is. */
export function parseComposition(text: string): NamedPart[] | undefined {
  if (!/[+*]/.test(text)) return undefined;
  const parts = text.split('+').map((part) => {
    const { model, weight = '1' } = PART.exec(part)?.groups ?? {};
    if (model === undefined)
      throw modelFault(`expected adapters as a+b or a*0.7+b*0.3, got "${part}" for one`);
    return { model, weight: Number(weight) };
  });
  if (parts.length > MOST_COMPOSED)
    throw modelFault(`expected at most ${MOST_COMPOSED} adapters, got ${parts.length}`);
  const heavy = parts.find(({ weight }) => Math.abs(weight) > MOST_LORA_SCALE);
  if (heavy)
    throw modelFault(`expected weights from -${MOST_LORA_SCALE} to ${MOST_LORA_SCALE}, got ${heavy.weight}`);
  return parts;
}

export function modelFault(message: string): AppError {
  return new AppError('invalid_request', { message: `model: ${message}`, param: 'model' });
}
