import { derived, mapCharacters, plain, type Text } from './text.js';

export function upper(value: Text): Text {
  return changed(value, plain(value).toUpperCase(), (character) => character.toUpperCase());
}

export function lower(value: Text): Text {
  return changed(value, plain(value).toLowerCase(), (character) => character.toLowerCase());
}

/** Where the whole is more than its characters one by one (the final sigma), the characters' origins are lost. */
function changed(value: Text, whole: string, change: (character: string) => string): Text {
  if (typeof value === 'string') return whole;
  const mapped = mapCharacters(value, change);
  return plain(mapped) === whole ? mapped : derived(whole, value);
}

export function capitalize(value: Text): Text {
  return mapCharacters(value, (character, i) => (i === 0 ? titleCase(character) : character.toLowerCase()));
}

/** Python's title(): a letter after anything but a letter is large. */
export function title(value: Text): Text {
  let afterCased = false;
  return mapCharacters(value, (character) => {
    const next = afterCased ? character.toLowerCase() : titleCase(character);
    afterCased = isCased(character);
    return next;
  });
}

export function swapCase(value: Text): Text {
  return mapCharacters(value, (character) =>
    /\p{Lu}/u.test(character) ? character.toLowerCase() : character.toUpperCase(),
  );
}

/** The digraphs with a form of their own for the beginning of a word. */
const TITLE_FORMS: Readonly<Record<string, string>> = {
  Ǆ: 'ǅ',
  ǆ: 'ǅ',
  ǅ: 'ǅ',
  Ǉ: 'ǈ',
  ǉ: 'ǈ',
  ǈ: 'ǈ',
  Ǌ: 'ǋ',
  ǌ: 'ǋ',
  ǋ: 'ǋ',
  Ǳ: 'ǲ',
  ǳ: 'ǲ',
  ǲ: 'ǲ',
};

function titleCase(character: string): string {
  const form = TITLE_FORMS[character];
  if (form !== undefined) return form;
  const [first = '', ...rest] = character.toUpperCase();
  return first + rest.join('').toLowerCase();
}

function isCased(character: string): boolean {
  return /\p{Cased}/u.test(character);
}

export function isUpper(text: string): boolean {
  return /\p{Cased}/u.test(text) && !/[\p{Lowercase}\p{Lt}]/u.test(text);
}

export function isLower(text: string): boolean {
  return /\p{Cased}/u.test(text) && !/[\p{Uppercase}\p{Lt}]/u.test(text);
}

export function isTitle(text: string): boolean {
  let afterCased = false;
  let any = false;
  for (const character of text) {
    const isLarge = /\p{Lu}|\p{Lt}/u.test(character);
    const cased = isCased(character);
    if (cased && isLarge === afterCased) return false;
    any ||= cased;
    afterCased = cased;
  }
  return any;
}
