import type { Arguments } from './arguments.js';
import { attributePath } from './attribute-path.js';
import { TemplateFault, typeError, valueError } from './errors.js';
import type { FilterDefinition, FilterDefinitions } from './filter-definition.js';
import { escapeHtml } from './html.js';
import { dumpJson } from './json-text.js';
import { capitalize, lower, upper } from './letter-case.js';
import { prettyPrint } from './pretty-print.js';
import { reprText, str } from './representation.js';
import {
  asMarkup,
  concatenate,
  derived,
  isMarkup,
  isText,
  joinTexts,
  lengthOf,
  plain,
  SPACE,
  sliceUnits,
  type Text,
  unitAt,
} from './text.js';
import { center, replaceText } from './text-methods.js';
import { splitAtLast, splitLines, strip } from './text-search.js';
import { wrapText } from './text-wrap.js';
import { Dict, iterable, listOf, truth, typeName, Undefined, type Value } from './values.js';

/** A filter of one text; whatever it is given becomes a str first. */
function ofText(change: (text: Text) => Value): FilterDefinition {
  return { names: [], run: (value) => change(str(value)) };
}

export const TEXT_FILTERS: FilterDefinitions = {
  capitalize: ofText(capitalize),
  center: {
    names: ['width'],
    run: (value, args) => center(str(value), args.integer('width') ?? 80, ' '),
  },
  e: { names: [], run: escape },
  escape: { names: [], run: escape },
  forceescape: ofText(escapeHtml),
  indent: { names: ['width', 'first', 'blank'], run: indent },
  join: { names: ['d', 'attribute'], run: join },
  lower: ofText(lower),
  pprint: { names: [], run: prettyPrint },
  replace: { names: ['old', 'new', 'count'], run: replace },
  safe: ofText(asMarkup),
  string: ofText((text) => text),
  striptags: ofText(stripTags),
  title: ofText(title),
  tojson: { names: ['ensure_ascii', 'indent', 'separators', 'sort_keys'], run: toJson },
  trim: {
    names: ['chars'],
    run: (value, args) => {
      const characters = args.text('chars');
      return strip(str(value), 'both', characters === undefined ? undefined : plain(characters));
    },
  },
  truncate: { names: ['length', 'killwords', 'end', 'leeway'], run: truncate },
  upper: ofText(upper),
  urlencode: { names: [], run: urlEncode },
  wordcount: ofText((text) => BigInt(plain(text).match(/[\p{L}\p{N}\p{M}_]+/gu)?.length ?? 0)),
  wordwrap: { names: ['width', 'break_long_words', 'wrapstring', 'break_on_hyphens'], run: wordWrap },
  xmlattr: { names: ['autospace'], run: xmlAttributes },
};

function escape(value: Value): Value {
  const text = str(value);
  return isMarkup(text) ? text : escapeHtml(text);
}

function needText(value: Value, filter: string): Text {
  if (value instanceof Undefined) throw value.fault();
  if (isText(value)) return value;
  throw typeError(`${filter}: expected str, got ${typeName(value)}`);
}

function indent(value: Value, args: Arguments): Value {
  const width = args.getOr('width', 4n);
  const indentation = isText(width) ? width : ' '.repeat(Math.max(0, args.integer('width') ?? 4));
  const lines = splitLines(concatenate([needText(value, 'indent'), '\n']), false);
  const indentsBlank = truth(args.get('blank') ?? false);
  const shown = lines.map((line, i) =>
    i > 0 && (indentsBlank || plain(line) !== '') ? concatenate([indentation, line]) : line,
  );
  const text = joinTexts(shown, '\n');
  return truth(args.get('first') ?? false) ? concatenate([indentation, text]) : text;
}

function join(value: Value, args: Arguments, scope: { readonly autoescape: boolean }): Value {
  const attribute = args.get('attribute') ?? null;
  const path = attributePath(attribute, {});
  const pieces = [...iterable(value)].map((item) => str(path(item)));
  const separator = str(args.getOr('d', ''));
  if (!scope.autoescape || ![separator, ...pieces].some(isMarkup)) return joinTexts(pieces, separator);
  const html = (text: Text): Text => (isMarkup(text) ? text : escapeHtml(text));
  return asMarkup(joinTexts(pieces.map(html), html(separator)));
}

function replace(value: Value, args: Arguments): Value {
  const count = (args.get('count') ?? null) === null ? -1 : (args.integer('count') ?? -1);
  const limit = count < 0 ? Number.POSITIVE_INFINITY : count;
  return replaceText(str(value), plain(str(args.need('old'))), str(args.need('new')), limit);
}

const TAGS = /<!--[\s\S]*?-->|<[^>]*>/g;
const SPACES = new RegExp(`[${SPACE}]+`, 'g');
const ENTITIES: Readonly<Record<string, string>> = {
  lt: '<',
  gt: '>',
  amp: '&',
  quot: '"',
  '#34': '"',
  '#39': "'",
};

function stripTags(text: Text): Text {
  const words = plain(text).replace(TAGS, '').replace(SPACES, ' ').trim();
  return derived(
    words.replace(/&(#?\w+);/g, (whole, name: string) => ENTITIES[name] ?? whole),
    text,
  );
}

/** Each word large at its beginning; words begin behind spaces, hyphens and opening brackets. */
function title(text: Text): Text {
  const source = plain(text);
  const pieces: Text[] = [];
  let at = 0;
  const push = (end: number): void => {
    if (end > at) pieces.push(capitalized(sliceUnits(text, at, end)));
  };
  for (const match of source.matchAll(WORD_BREAK)) {
    push(match.index);
    at = match.index + match[0].length;
    pieces.push(sliceUnits(text, match.index, at));
  }
  push(source.length);
  return concatenate(pieces);
}
const WORD_BREAK = new RegExp(`[-${SPACE}({\\[<]+`, 'g');

function capitalized(word: Text): Text {
  const source = plain(word);
  const first = unitAt(source, 1);
  return concatenate([upper(sliceUnits(word, 0, first)), lower(sliceUnits(word, first, source.length))]);
}

function toJson(value: Value, args: Arguments): Value {
  return dumpJson(value, {
    ensureAscii: truth(args.get('ensure_ascii') ?? false),
    indent: indentOf(args.get('indent') ?? null),
    separators: separatorsOf(args.get('separators') ?? null),
    sortKeys: truth(args.get('sort_keys') ?? false),
  });
}

function indentOf(value: Value): string | undefined {
  if (value === null) return undefined;
  if (isText(value)) return plain(value);
  const count = Number(value);
  if (!Number.isInteger(count)) throw typeError('indent must be int or str');
  return ' '.repeat(Math.max(0, count));
}

function separatorsOf(value: Value): readonly [string, string] | undefined {
  if (value === null) return undefined;
  const parts = listOf(value).map((part) => plain(needText(part, 'separators')));
  if (parts.length !== 2) throw valueError('separators: expected two of them');
  return parts as [string, string];
}

function truncate(value: Value, args: Arguments): Value {
  const text = needText(value, 'truncate');
  const length = args.integer('length') ?? 255;
  const end = args.text('end') ?? '...';
  const leeway = args.integer('leeway') ?? 5;
  const room = length - lengthOf(end);
  if (room < 0) throw valueError(`expected length >= ${lengthOf(end)}, got ${length}`);
  if (lengthOf(text) <= length + leeway) return text;
  const cut = sliceUnits(text, 0, unitAt(plain(text), room));
  if (truth(args.get('killwords') ?? false)) return concatenate([cut, end]);
  return concatenate([splitAtLast(cut, ' ', 1)[0] as Text, end]);
}

function urlEncode(value: Value): Value {
  if (!(value instanceof Dict) && !Array.isArray(value)) return quoteUrl(str(value), '/');
  const pairs = value instanceof Dict ? value.entries() : value.map((pair) => listOf(pair));
  const quote = (part: Value | undefined): Text => {
    const quoted = quoteUrl(str(part ?? null), '');
    return replaceText(quoted, '%20', '+', Number.POSITIVE_INFINITY);
  };
  return joinTexts(
    pairs.map(([key, item]) => concatenate([quote(key), '=', quote(item)])),
    '&',
  );
}

function quoteUrl(text: Text, safe: string): Text {
  const quoted = encodeURIComponent(plain(text)).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return derived(safe === '/' ? quoted.replaceAll('%2F', '/') : quoted, text);
}

function wordWrap(value: Value, args: Arguments): Value {
  const text = needText(value, 'wordwrap');
  const separator = plain(args.text('wrapstring') ?? '\n');
  const options = {
    width: args.integer('width') ?? 79,
    breakLongWords: truth(args.getOr('break_long_words', true)),
    breakOnHyphens: truth(args.getOr('break_on_hyphens', true)),
  };
  const lines = splitLines(text, false).map((line) => wrapText(plain(line), options).join(separator));
  return derived(lines.join(separator), text);
}

function xmlAttributes(value: Value, args: Arguments, scope: { readonly autoescape: boolean }): Value {
  if (!(value instanceof Dict)) throw typeError(`'${typeName(value)}' object has no attribute 'items'`);
  const pieces: Text[] = [];
  for (const [key, item] of value.entries()) {
    if (item === null || item instanceof Undefined) continue;
    const name = needText(key, 'xmlattr');
    if (/[\s/>=]/.test(plain(name))) {
      throw new TemplateFault('ValueError', `Invalid character in attribute name: ${plain(reprText(name))}`);
    }
    pieces.push(concatenate([plain(escape(name) as Text), '="', escape(item) as Text, '"']));
  }
  const text = joinTexts(pieces, ' ');
  const spaced = truth(args.getOr('autospace', true)) && pieces.length > 0 ? concatenate([' ', text]) : text;
  return scope.autoescape ? asMarkup(spaced) : spaced;
}
