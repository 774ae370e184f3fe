import { asMarkup, mapCharacters, type Text } from './text.js';

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  "'": '&#39;',
  '"': '&#34;',
};

/** markupsafe.escape of a text that is no Markup yet. */
export function escapeHtml(text: Text): Text {
  return asMarkup(mapCharacters(text, (character) => ENTITIES[character] ?? character));
}
