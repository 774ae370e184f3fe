import { AppError } from './app-error.js';

interface Issue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
  /** zod's, on an unknown field. */
  readonly code?: string;
  readonly keys?: readonly string[];
}

/** More faults than this help nobody, and a long array could have one for each of its items. */
const MAX_FAULTS = 5;
/** What a client sent is repeated in its fault, cut. */
const MAX_FAULT_CHARACTERS = 500;
const MAX_PARAM_CHARACTERS = 200;

/** What the validation of a request's body found, as the error that the caller reads. */
export function requestFault(issues: readonly object[]): AppError {
  const faults = new Map<string, string>();
  for (const issue of issues as readonly Issue[]) {
    const path = fieldName(issue.path ?? []);
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys ?? []) faults.set(join(path, key), 'is not a field of this request');
    } else if (!faults.has(path)) {
      faults.set(path, issue.message);
    }
    if (faults.size >= MAX_FAULTS) break;
  }
  const [param] = faults.keys();
  const message = [...faults]
    .map(([field, fault]) => cut(field === '' ? fault : `${field}: ${fault}`, MAX_FAULT_CHARACTERS))
    .join('; ');
  return new AppError('invalid_request', {
    message,
    ...(param ? { param: cut(param, MAX_PARAM_CHARACTERS) } : {}),
  });
}

function cut(text: string, characters: number): string {
  return text.length > characters ? `${text.slice(0, characters).replace(/[\uD800-\uDBFF]$/, '')}…` : text;
}

/** `messages[0].content`, as OpenAI writes a field's name. */
function fieldName(path: NonNullable<Issue['path']>): string {
  return path
    .map((segment) => (typeof segment === 'object' ? segment.key : segment))
    .reduce<string>(
      (name, key) => (typeof key === 'number' ? `${name}[${key}]` : join(name, String(key))),
      '',
    );
}

function join(parent: string, key: string): string {
  return parent === '' ? key : `${parent}.${key}`;
}
