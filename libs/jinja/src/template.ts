import { TemplateFault, TemplateSyntaxError } from './errors.js';
import { globalValues } from './globals.js';
import { parseTemplate } from './parser.js';
import { Scope } from './scope.js';
import { compileBody, type Execute } from './statement-compiler.js';
import { marksOf, type Marks, plain, TextBuilder } from './text.js';
import type { Value } from './values.js';

export interface Rendered {
  readonly text: string;
  /** Which parts of the text came from outside the template: [begin, end, ...] in UTF-16 units. */
  readonly outside: Marks;
}

/**
 * A Jinja2 template with the settings, filters and functions that Transformers gives to chat templates: trim_blocks,
 * lstrip_blocks, loop controls, an immutable sandbox.
 */
export class Template {
  readonly #run: Execute;

  /** Throws TemplateSyntaxError for what Jinja2 does not compile. */
  constructor(source: string) {
    try {
      this.#run = compileBody(parseTemplate(source));
    } catch (error) {
      if (error instanceof RangeError) throw new TemplateSyntaxError('the template is nested too deeply', 0);
      throw error;
    }
  }

  /** Throws TemplateFault where Jinja2 raises an exception. `now`: the time for strftime_now. */
  render(values: Iterable<readonly [string, Value]>, now: () => Date = () => new Date()): Rendered {
    const globals = new Scope(undefined);
    for (const [name, value] of globalValues(now)) globals.set(name, value);
    const scope = new Scope(globals);
    for (const [name, value] of values) scope.set(name, value);
    const out = new TextBuilder();
    try {
      this.#run(scope, out);
    } catch (error) {
      throw asFault(error);
    }
    const text = out.finish();
    return { text: plain(text), outside: marksOf(text) };
  }
}

function asFault(error: unknown): unknown {
  if (!(error instanceof RangeError)) return error;
  if (/call stack/i.test(error.message))
    return new TemplateFault('RecursionError', 'maximum recursion depth exceeded');
  return new TemplateFault('ValueError', `a text or list grew too large (${error.message})`);
}
