import type { Dfa } from '../automaton/dfa.js';
import { both } from '../automaton/product.js';
import { ofLength } from '../automaton/languages.js';
import { Budget } from '../budget.js';
import { regexLanguage } from '../regex/language.js';

/*
 * Formats of strings as regular expressions: each accepts only what validators of the format accept, most of them all of
 * it. Narrower than their standards: a time has no leap second and at most nine digits of a fraction; e-mail addresses, host
 * names and URIs are ASCII; a host name has at most 63 characters in all; a URI has an authority.
 */

const DAYS = '(?:0[1-9]|1\\d|2[0-8])';
const LEAP_YEAR = '(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)';
const DATE =
  `(?:\\d{4}-(?:(?:0[1-9]|1[0-2])-${DAYS}|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)` +
  `|${LEAP_YEAR}-02-29)`;
const TIME = '(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,9})?(?:Z|[+\\-](?:[01]\\d|2[0-3]):[0-5]\\d)';
const LABEL = '[A-Za-z0-9]+(?:-+[A-Za-z0-9]+)*';
const HOST = `${LABEL}(?:\\.${LABEL})*`;
const WORDS = '[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*';
const ATOM = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~\\-]+";
const BYTE = '(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';
const HEX = '[0-9A-Fa-f]';
const URI_CHARACTER = `(?:[A-Za-z0-9\\-._~!$&'()*+,;=:@]|%${HEX}{2})`;
const PATH = `(?:/${URI_CHARACTER}*)*(?:\\?(?:${URI_CHARACTER}|[/?])*)?(?:#(?:${URI_CHARACTER}|[/?])*)?`;
const URI = `[A-Za-z][A-Za-z0-9+.\\-]*://${HOST}(?::\\d{1,5})?${PATH}`;
const DAYS_SPAN = '\\d{1,9}D';
const DATE_SPAN = `(?:\\d{1,9}Y(?:\\d{1,9}M(?:${DAYS_SPAN})?)?|\\d{1,9}M(?:${DAYS_SPAN})?|${DAYS_SPAN})`;
const TIME_SPAN = 'T(?:\\d{1,9}H(?:\\d{1,9}M(?:\\d{1,9}S)?)?|\\d{1,9}M(?:\\d{1,9}S)?|\\d{1,9}S)';
const POINTER = '(?:/(?:[^/~]|~[01])*)*';

/** Eight groups, or fewer with a "::" for at least one group of zeros. */
const IPV6 = (() => {
  const group = `${HEX}{1,4}`;
  const groups = (count: number) => (count === 0 ? '' : `${group}(?::${group}){${count - 1}}`);
  const upTo = (count: number) => (count === 0 ? '' : `(?:${group}(?::${group}){0,${count - 1}})?`);
  const shortened = Array.from({ length: 8 }, (_, before) => `${groups(before)}::${upTo(7 - before)}`);
  return [groups(8), ...shortened].join('|');
})();

const ENFORCED: ReadonlyMap<string, string> = new Map([
  ['date', DATE],
  ['time', TIME],
  ['date-time', `${DATE}T${TIME}`],
  ['iso-time', TIME],
  ['iso-date-time', `${DATE}T${TIME}`],
  ['duration', `P(?:${DATE_SPAN}(?:${TIME_SPAN})?|${TIME_SPAN}|\\d{1,9}W)`],
  ['email', `${ATOM}(?:\\.${ATOM})*@(?:${LABEL}\\.)+${LABEL}`],
  ['hostname', HOST],
  ['ipv4', `${BYTE}(?:\\.${BYTE}){3}`],
  ['ipv6', IPV6],
  ['uuid', `${HEX}{8}(?:-${HEX}{4}){3}-${HEX}{12}`],
  ['uri', URI],
  ['url', `https?://${WORDS}(?:\\.${WORDS})*\\.[A-Za-z]{2,10}(?:/${URI_CHARACTER}*${PATH})?`],
  ['uri-reference', `${URI}|/?(?:${URI_CHARACTER.replace(':@', '@')}+${PATH})?`],
  ['json-pointer', POINTER],
  ['relative-json-pointer', `(?:0|[1-9]\\d{0,8})(?:#|${POINTER})`],
  ['byte', '(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?'],
]);

/** A part of the format whose texts are ASCII. */
const AS: ReadonlyMap<string, string> = new Map([
  ['idn-email', 'email'],
  ['idn-hostname', 'hostname'],
  ['iri', 'uri'],
  ['iri-reference', 'uri-reference'],
]);

const MOST_CHARACTERS: ReadonlyMap<string, number> = new Map([['hostname', 63]]);

/** Of standards, and asserted by validators, but not enforced here. */
export const REFUSED_FORMATS: readonly string[] = ['regex', 'uri-template', 'json-pointer-uri-fragment'];

export const ENFORCED_FORMATS: readonly string[] = [...ENFORCED.keys(), ...AS.keys()];

const languages = new Map<string, Dfa>();

/** The texts of a format; undefined: it says nothing about strings that must be kept. */
export function formatLanguage(name: string): Dfa | undefined {
  const known = AS.get(name) ?? name;
  const source = ENFORCED.get(known);
  if (source === undefined) return undefined;
  let language = languages.get(known);
  if (language === undefined) {
    // Ours, so no part of what a wish may cost.
    const budget = new Budget();
    const most = MOST_CHARACTERS.get(known);
    language = regexLanguage(source, 'whole', budget);
    if (most !== undefined) language = both(language, ofLength(0, most, budget), budget);
    languages.set(known, language);
  }
  return language;
}
