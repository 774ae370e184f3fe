import type { Tag, TagFormat, TagsWithSeparator, TriggeredTags } from '#contracts/structural-tag.js';
import { ALL } from '../automaton/code-points.js';
import { choice, type Expression, NEVER, NOTHING, repeat, rule, sequence, text } from '../ebnf/expression.js';
import { anyCharacters } from '../ebnf/utf8.js';
import { StructureError } from '../errors.js';
import { grammarExpression } from '../grammar-text.js';
import type { GrammarTools } from '../grammar-tools.js';
import { regexExpression } from '../plain-text.js';
import { schemaExpression } from '../schema/compiler.js';
import { freeText } from './free-text.js';

/** The texts of a structural tag. */
export function formatExpression(format: TagFormat, tools: GrammarTools): Expression {
  const nested = (each: TagFormat) => formatExpression(each, tools);
  switch (format.type) {
    case 'any_text':
      return anyCharacters(ALL, tools.rules);
    case 'const_string':
      return text(format.value);
    case 'json_schema':
      return schemaExpression(format.json_schema, tools, format.spelling);
    case 'regex':
      return regexExpression(format.pattern, tools);
    case 'grammar':
      return grammarExpression(format.grammar, tools);
    case 'sequence':
      return sequence(...format.elements.map(nested));
    case 'or':
      return choice(...format.elements.map(nested));
    case 'tag':
      return sequence(text(format.begin), contentAndEnd(format, tools));
    case 'triggered_tags':
      return triggeredTags(format, tools);
    case 'tags_with_separator':
      return separatedTags(format, tools);
  }
}

/** Free content ends where the end first comes. */
function contentAndEnd({ content, end }: Tag, tools: GrammarTools): Expression {
  if (content.type === 'any_text')
    return freeText({ triggers: [end], after: () => NOTHING, end: NEVER }, tools);
  return sequence(formatExpression(content, tools), text(end));
}

function triggeredTags(format: TriggeredTags, tools: GrammarTools): Expression {
  const { triggers, tags } = format;
  for (const { begin } of tags)
    if (!triggers.some((trigger) => begin.startsWith(trigger)))
      throw new StructureError('invalid', `no trigger begins ${JSON.stringify(begin)}`);
  const inner = new Map(tags.map((tag) => [tag, tools.rules.add('tag', contentAndEnd(tag, tools))]));
  const then = (next: Expression) => (trigger: string) =>
    choice(
      ...tags
        .filter(({ begin }) => begin.startsWith(trigger))
        .map((tag) => sequence(text(tag.begin.slice(trigger.length)), inner.get(tag) as Expression, next)),
    );
  let next: Expression = NOTHING;
  if (format.stop_after_first !== true) {
    const name = tools.rules.reserve('tags');
    next = rule(name);
    tools.rules.define(name, freeText({ triggers, after: then(next), end: NOTHING }, tools));
  }
  const end = format.at_least_one === true ? NEVER : NOTHING;
  return freeText({ triggers, after: then(next), end }, tools);
}

function separatedTags(format: TagsWithSeparator, tools: GrammarTools): Expression {
  const one = tools.rules.add('tag', choice(...format.tags.map((tag) => formatExpression(tag, tools))));
  const some =
    format.stop_after_first === true ? one : sequence(one, repeat(sequence(text(format.separator), one), 0));
  return format.at_least_one === true ? some : choice(some, NOTHING);
}
