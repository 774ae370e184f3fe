import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { TemplateFault, TemplateSyntaxError } from './errors.js';
import { readJson } from './json-reader.js';
import { Template } from './template.js';
import { plain, type Text } from './text.js';
import { Dict, type Value } from './values.js';

/*
 * Held to what Transformers renders: test/golden/chat-templates/make_expected.py writes expected.json. `outside: true`
 * reads the conversations as the server does, marked as coming from outside, which must change no text.
 */
const FOLDER = join(import.meta.dirname, '../../../test/golden/chat-templates');
const STOPPED_CLOCK = (): Date => new Date(2026, 2, 9, 5, 7, 8);

type Outcome = { text: string } | { does_not_compile: string } | { fails: string };

const read = (name: string): string => readFileSync(join(FOLDER, name), 'utf8');
const expected = JSON.parse(read('expected.json')) as {
  families: Record<string, Record<string, Outcome>>;
  expressions: Outcome[];
  statements: Outcome[];
};

function valuesOf(conversation: Value): [string, Value][] {
  const defaults = { bos_token: '<s>', eos_token: '</s>', pad_token: '<pad>', tools: null, documents: null };
  const values = new Map<string, Value>([...Object.entries(defaults), ['add_generation_prompt', true]]);
  for (const [name, value] of (conversation as Dict).entries()) values.set(plain(name as Text), value);
  return [...values];
}

function render(source: string, values: [string, Value][]): Outcome {
  let template: Template;
  try {
    template = new Template(source);
  } catch (error) {
    if (error instanceof TemplateSyntaxError) return { does_not_compile: '' };
    throw error;
  }
  try {
    return { text: template.render(values, STOPPED_CLOCK).text };
  } catch (error) {
    if (error instanceof TemplateFault) return { fails: '' };
    throw error;
  }
}

/** A template that is refused, when compiled or when rendered, is refused by both; of texts every character counts. */
function comparable(outcome: Outcome): string {
  return 'text' in outcome ? `text: ${outcome.text}` : 'refused';
}

function differences(sources: readonly string[], outcomes: readonly Outcome[], outside: boolean): unknown[] {
  const values = valuesOf(readJson(read('values.json'), outside));
  return sources.flatMap((source, i) => {
    const [ours, theirs] = [comparable(render(source, values)), comparable(outcomes[i] as Outcome)];
    return ours === theirs ? [] : [{ source, ours, theirs }];
  });
}

describe.each([false, true])('chat templates as in Transformers (from outside: %s)', (outside) => {
  const conversations = (readJson(read('conversations.json'), outside) as Dict).entries();

  it.each(readdirSync(join(FOLDER, 'templates')))('renders every conversation with %s', (file) => {
    const source = read(join('templates', file));
    const outcomes = expected.families[file.replace('.jinja', '')] ?? {};
    expect(conversations).toHaveLength(Object.keys(outcomes).length);
    for (const [name, conversation] of conversations) {
      const ours = comparable(render(source, valuesOf(conversation)));
      const theirs = comparable(outcomes[plain(name as Text)] as Outcome);
      expect({ name, text: ours }).toEqual({ name, text: theirs });
    }
  });

  it('evaluates expressions as Python does', () => {
    const sources = (JSON.parse(read('expressions.json')) as string[]).map(
      (expression) => `{{ ${expression} }}`,
    );
    expect(differences(sources, expected.expressions, outside)).toEqual([]);
  });

  it('runs statements and cuts whitespace as Jinja2 does', () => {
    const sources = JSON.parse(read('statements.json')) as string[];
    expect(differences(sources, expected.statements, outside)).toEqual([]);
  });
});

describe('a template that does not compile', () => {
  it('is refused before it is rendered wherever Jinja2 refuses to compile it', () => {
    const sources = JSON.parse(read('statements.json')) as string[];
    const late = sources.filter(
      (source, i) => 'does_not_compile' in (expected.statements[i] as Outcome) && compiles(source),
    );
    expect(late).toEqual([]);
  });
});

function compiles(source: string): boolean {
  try {
    new Template(source); // oxlint-disable-line no-new -- only whether it throws
    return true;
  } catch {
    return false;
  }
}
