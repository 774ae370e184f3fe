import type { BatchEndpoint, BatchError } from '#contracts/openai/batches.js';
import { AppError } from '#runtime/app-error.js';
import type { JsonLimits } from '#runtime/edge/json-scanner.js';
import { parseJson } from '#runtime/edge/parse-json.js';
import { memberText } from '#runtime/edge/verbatim-members.js';
import type { FileLine } from './jsonl-lines.js';

/** A line of an input file, whose envelope is sound. */
export interface BatchLine {
  readonly number: number;
  readonly customId: string;
  /** JSON of an object, as it is spelled in the file. */
  readonly body: string;
  /** Undefined: the body names none. */
  readonly model: string | undefined;
}

const MOST_CUSTOM_ID_CHARACTERS = 512;

type Fault = Omit<BatchError, 'line'>;

/** The line, or what is wrong with it. */
export function readBatchLine(
  { number, bytes }: FileLine,
  { endpoint, limits }: { readonly endpoint: BatchEndpoint; readonly limits: JsonLimits },
): BatchLine | BatchError {
  if (bytes === undefined)
    return { code: 'invalid_json_line', message: 'This line is too long.', param: null, line: number };
  try {
    const value = parseJson(bytes, limits);
    const fault = faultOf(value, endpoint);
    if (fault) return { ...fault, line: number };
    const { custom_id: customId, body } = value as { custom_id: string; body: { model?: unknown } };
    const text = memberText(bytes.toString('utf8'), 'body');
    const model = typeof body.model === 'string' ? body.model : undefined;
    return { number, customId, body: text ?? JSON.stringify(body), model };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    const message = `This line is not parseable as valid JSON. ${error.message}`;
    return { code: 'invalid_json_line', message, param: null, line: number };
  }
}

export function isFault(line: BatchLine | BatchError): line is BatchError {
  return 'code' in line;
}

export function duplicate(number: number, customId: string): BatchError {
  const message = `The custom_id "${customId}" is that of an earlier line: each line needs its own.`;
  return { code: 'duplicate_custom_id', message, param: 'custom_id', line: number };
}

function faultOf(value: unknown, endpoint: BatchEndpoint): Fault | undefined {
  if (!isObject(value)) return { code: 'invalid_request', message: 'Expected a JSON object.', param: null };
  for (const param of ['custom_id', 'method', 'url', 'body'])
    if (value[param] === undefined || value[param] === null)
      return {
        code: 'missing_required_parameter',
        message: `Missing required parameter: '${param}'.`,
        param,
      };
  const { custom_id, method, url, body } = value;
  if (typeof custom_id !== 'string' || custom_id === '' || custom_id.length > MOST_CUSTOM_ID_CHARACTERS) {
    const message = `Expected a custom_id of 1 to ${MOST_CUSTOM_ID_CHARACTERS} characters.`;
    return { code: 'invalid_custom_id', message, param: 'custom_id' };
  }
  if (method !== 'POST')
    return { code: 'invalid_method', message: 'Expected the method POST.', param: 'method' };
  if (url !== endpoint) {
    const message = `The url does not match the batch's endpoint: expected ${endpoint}.`;
    return { code: 'invalid_url', message, param: 'url' };
  }
  if (!isObject(body)) return { code: 'invalid_body', message: 'Expected an object.', param: 'body' };
  return undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
