/** The template itself is wrong: it cannot be compiled. */
export class TemplateSyntaxError extends Error {
  constructor(
    message: string,
    readonly line: number,
  ) {
    super(`${message} (line ${line})`);
  }
}

export type FaultKind =
  | 'TemplateError'
  | 'TemplateRuntimeError'
  | 'UndefinedError'
  | 'SecurityError'
  | 'FilterArgumentError'
  | 'TypeError'
  | 'ValueError'
  | 'KeyError'
  | 'IndexError'
  | 'OverflowError'
  | 'ZeroDivisionError'
  | 'AttributeError'
  | 'RecursionError'
  | 'NotImplementedError';

/** Rendering failed, as it does in Python: `kind` names the exception there. */
export class TemplateFault extends Error {
  constructor(
    readonly kind: FaultKind,
    message: string,
  ) {
    super(message);
  }
}

export function typeError(message: string): TemplateFault {
  return new TemplateFault('TypeError', message);
}

export function valueError(message: string): TemplateFault {
  return new TemplateFault('ValueError', message);
}
