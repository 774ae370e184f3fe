import { Arguments, integerArgument, plainArgument } from './arguments.js';
import { TemplateFault, typeError, valueError } from './errors.js';
import { capitalize, isLower, isTitle, isUpper, lower, swapCase, title, upper } from './letter-case.js';
import {
  concatenate,
  isText,
  joinTexts,
  lengthOf,
  mapCharacters,
  plain,
  pointAt,
  SPACE,
  sliceUnits,
  type Text,
} from './text.js';
import {
  occurrences,
  splitAt,
  splitAtLast,
  splitLines,
  splitWords,
  splitWordsFromRight,
  strip,
  unitRange,
} from './text-search.js';
import { iterable, type NamedArguments, truth, Tuple, typeName, type Value } from './values.js';

type Method = (self: Text, args: readonly Value[], named: NamedArguments) => Value;

/** A method by the names of its arguments. */
function method(name: string, names: readonly string[], run: (self: Text, args: Arguments) => Value): Method {
  return (self, args, named) => run(self, new Arguments(name, names, args, named));
}

function plainMethod(name: string, run: (self: Text) => Value): Method {
  return method(name, [], run);
}

function predicate(name: string, holds: (text: string) => boolean): Method {
  return method(name, [], (self) => holds(plain(self)));
}

function stripMethod(name: string, sides: 'both' | 'left' | 'right'): Method {
  return method(name, ['/chars'], (self, args) => {
    const characters = args.text('chars');
    return strip(self, sides, characters === undefined ? undefined : plain(characters));
  });
}

function splitLimit(args: Arguments): number {
  const limit = args.integer('maxsplit') ?? -1;
  return limit < 0 ? Number.POSITIVE_INFINITY : limit;
}

function split(self: Text, args: Arguments): Value {
  const separator = args.text('sep');
  if (separator === undefined) return splitWords(self, splitLimit(args));
  return splitAt(self, plain(separator), splitLimit(args));
}

function splitFromRight(self: Text, args: Arguments): Value {
  const separator = args.text('sep');
  if (separator === undefined) return splitWordsFromRight(self, splitLimit(args));
  return splitAtLast(self, plain(separator), splitLimit(args));
}

const RANGE = ['/sub', '/start', '/end'];

/** The unit where the text is found, or -1. */
function findUnit(self: Text, args: Arguments, fromRight: boolean): number {
  const text = plain(self);
  const part = plain(args.needText('sub'));
  const [begin, end] = rangeOf(text, args);
  if (end - begin < part.length) return -1;
  const within = text.slice(begin, end);
  const at = fromRight ? within.lastIndexOf(part) : within.indexOf(part);
  return at < 0 ? -1 : begin + at;
}

function rangeOf(text: string, args: Arguments): [number, number] {
  const bound = (name: string): number | undefined =>
    (args.get(name) ?? null) === null ? undefined : args.integer(name);
  return unitRange(text, bound('start'), bound('end'));
}

function findMethod(name: string, fromRight: boolean, needed: boolean): Method {
  return method(name, RANGE, (self, args) => {
    const unit = findUnit(self, args, fromRight);
    if (unit < 0 && needed) throw valueError('substring not found');
    return unit < 0 ? -1n : BigInt(pointAt(plain(self), unit));
  });
}

function edgeMethod(name: string, holds: (text: string, edge: string) => boolean): Method {
  return method(name, RANGE, (self, args) => {
    const wanted = args.need('sub');
    if (!isText(wanted) && !(wanted instanceof Tuple)) {
      throw typeError(`${name} first arg must be str or a tuple of str, not ${typeName(wanted)}`);
    }
    const [begin, end] = rangeOf(plain(self), args);
    if (begin > end) return false;
    const text = plain(self).slice(begin, end);
    const edges = wanted instanceof Tuple ? wanted.items : [wanted];
    return edges.some((edge) => holds(text, plainArgument(edge, `${name} arg`)));
  });
}

export function replaceText(self: Text, from: string, to: Text, limit: number): Text {
  const text = plain(self);
  const pieces: Text[] = [];
  let at = 0;
  for (const unit of occurrences(text, from, limit)) {
    pieces.push(sliceUnits(self, at, unit), to);
    at = unit + from.length;
  }
  return pieces.length === 0 ? self : concatenate([...pieces, sliceUnits(self, at, text.length)]);
}

function replace(self: Text, args: Arguments): Value {
  const count = args.integer('count') ?? -1;
  const limit = count < 0 ? Number.POSITIVE_INFINITY : count;
  return replaceText(self, plain(args.needText('old')), args.needText('new'), limit);
}

function join(self: Text, args: Arguments): Value {
  const pieces = [...iterable(args.need('iterable'))].map((item, i) => {
    if (isText(item)) return item;
    throw typeError(`sequence item ${i}: expected str instance, ${typeName(item)} found`);
  });
  return joinTexts(pieces, self);
}

export function center(self: Text, width: number, fill: Text): Text {
  const missing = Math.max(0, width - lengthOf(self));
  // Python puts the odd one to the left when the width is odd.
  const left = Math.floor(missing / 2) + (missing & width & 1);
  return concatenate([...fillOf(fill, left), self, ...fillOf(fill, missing - left)]);
}

function fillOf(fill: Text, count: number): Text[] {
  return [
    typeof fill === 'string' ? fill.repeat(count) : concatenate(Array.from({ length: count }, () => fill)),
  ];
}

function padMethod(name: string, pad: (self: Text, width: number, fill: Text) => Text): Method {
  return method(name, ['/width', '/fillchar'], (self, args) => {
    const fill = args.text('fillchar') ?? ' ';
    if (lengthOf(fill) !== 1) throw typeError('The fill character must be exactly one character long');
    return pad(self, integerArgument(args.need('width')), fill);
  });
}

function zeroFill(self: Text, args: Arguments): Value {
  const missing = integerArgument(args.need('width')) - lengthOf(self);
  if (missing <= 0) return self;
  const text = plain(self);
  const sign = text.startsWith('-') || text.startsWith('+') ? 1 : 0;
  return concatenate([sliceUnits(self, 0, sign), '0'.repeat(missing), sliceUnits(self, sign, text.length)]);
}

function partition(self: Text, args: Arguments, fromRight: boolean): Value {
  const separator = args.needText('sep');
  if (plain(separator) === '') throw valueError('empty separator');
  const text = plain(self);
  const at = fromRight ? text.lastIndexOf(plain(separator)) : text.indexOf(plain(separator));
  if (at < 0) return new Tuple(fromRight ? ['', '', self] : [self, '', '']);
  const end = at + plain(separator).length;
  return new Tuple([sliceUnits(self, 0, at), sliceUnits(self, at, end), sliceUnits(self, end, text.length)]);
}

function expandTabs(self: Text, args: Arguments): Value {
  const size = args.integer('tabsize') ?? 8;
  let column = 0;
  return mapCharacters(self, (character) => {
    if (character === '\t') {
      const count = size > 0 ? size - (column % size) : 0;
      column += count;
      return ' '.repeat(count);
    }
    column = character === '\n' || character === '\r' ? 0 : column + 1;
    return character;
  });
}

function unsupported(name: string): Method {
  return () => {
    throw new TemplateFault('NotImplementedError', `str.${name} is not supported in chat templates`);
  };
}

const ONLY_SPACE = new RegExp(`^[${SPACE}\\x1c-\\x1f]+$`);

export const TEXT_METHODS: Readonly<Record<string, Method>> = {
  capitalize: plainMethod('capitalize', capitalize),
  casefold: plainMethod('casefold', (self) => lower(replaceText(self, 'ß', 'ss', Number.POSITIVE_INFINITY))),
  center: padMethod('center', center),
  count: method('count', RANGE, (self, args) => {
    const [begin, end] = rangeOf(plain(self), args);
    if (begin > end) return 0n;
    const text = plain(self).slice(begin, end);
    return BigInt(occurrences(text, plain(args.needText('sub')), Number.POSITIVE_INFINITY).length);
  }),
  encode: unsupported('encode'),
  endswith: edgeMethod('endswith', (text, edge) => text.endsWith(edge)),
  expandtabs: method('expandtabs', ['tabsize'], expandTabs),
  find: findMethod('find', false, false),
  index: findMethod('index', false, true),
  isalnum: predicate('isalnum', (text) => /^[\p{L}\p{N}]+$/u.test(text)),
  isalpha: predicate('isalpha', (text) => /^\p{L}+$/u.test(text)),
  isascii: predicate('isascii', (text) => /^[\0-\x7f]*$/.test(text)),
  isdecimal: predicate('isdecimal', (text) => /^\p{Nd}+$/u.test(text)),
  isdigit: predicate('isdigit', (text) => /^[\p{Nd}²³¹⁰⁴-⁹₀-₉①-⑨]+$/u.test(text)),
  isidentifier: predicate('isidentifier', (text) => /^[\p{ID_Start}_]\p{ID_Continue}*$/u.test(text)),
  islower: predicate('islower', isLower),
  isnumeric: predicate('isnumeric', (text) => /^\p{N}+$/u.test(text)),
  isprintable: predicate('isprintable', (text) => !/\p{C}|[\p{Zl}\p{Zp}]|(?! )\p{Zs}/u.test(text)),
  isspace: predicate('isspace', (text) => ONLY_SPACE.test(text)),
  istitle: predicate('istitle', isTitle),
  isupper: predicate('isupper', isUpper),
  join: method('join', ['/iterable'], join),
  ljust: padMethod('ljust', (self, width, fill) =>
    concatenate([self, ...fillOf(fill, Math.max(0, width - lengthOf(self)))]),
  ),
  lower: plainMethod('lower', lower),
  lstrip: stripMethod('lstrip', 'left'),
  maketrans: unsupported('maketrans'),
  partition: method('partition', ['/sep'], (self, args) => partition(self, args, false)),
  removeprefix: method('removeprefix', ['/prefix'], (self, args) => {
    const prefix = plain(args.needText('prefix'));
    const text = plain(self);
    return text.startsWith(prefix) ? sliceUnits(self, prefix.length, text.length) : self;
  }),
  removesuffix: method('removesuffix', ['/suffix'], (self, args) => {
    const suffix = plain(args.needText('suffix'));
    const text = plain(self);
    return text.endsWith(suffix) ? sliceUnits(self, 0, text.length - suffix.length) : self;
  }),
  replace: method('replace', ['/old', '/new', '/count'], replace),
  rfind: findMethod('rfind', true, false),
  rindex: findMethod('rindex', true, true),
  rjust: padMethod('rjust', (self, width, fill) =>
    concatenate([...fillOf(fill, Math.max(0, width - lengthOf(self))), self]),
  ),
  rpartition: method('rpartition', ['/sep'], (self, args) => partition(self, args, true)),
  rsplit: method('rsplit', ['sep', 'maxsplit'], splitFromRight),
  rstrip: stripMethod('rstrip', 'right'),
  split: method('split', ['sep', 'maxsplit'], split),
  splitlines: method('splitlines', ['keepends'], (self, args) =>
    splitLines(self, truth(args.get('keepends') ?? false)),
  ),
  startswith: edgeMethod('startswith', (text, edge) => text.startsWith(edge)),
  strip: stripMethod('strip', 'both'),
  swapcase: plainMethod('swapcase', swapCase),
  title: plainMethod('title', title),
  translate: unsupported('translate'),
  upper: plainMethod('upper', upper),
  zfill: method('zfill', ['/width'], zeroFill),
};
