import { getItem } from './attributes.js';
import { lower } from './letter-case.js';
import { isText, plain } from './text.js';
import { Undefined, type Value } from './values.js';

/** What an `attribute` argument takes from an item: `a.b.0`, an index, or the item itself. */
export function attributePath(
  attribute: Value,
  { fallback, ignoreCase }: { readonly fallback?: Value | undefined; readonly ignoreCase?: boolean },
): (item: Value) => Value {
  const parts = partsOf(attribute);
  return (item) => {
    let value = item;
    for (const part of parts) {
      value = getItem(value, part);
      if (value instanceof Undefined && fallback !== undefined && fallback !== null) value = fallback;
    }
    return ignoreCase === true ? withoutCase(value) : value;
  };
}

function partsOf(attribute: Value): Value[] {
  if (attribute === null) return [];
  if (!isText(attribute)) return [attribute];
  return plain(attribute)
    .split('.')
    .map((part) => (/^\d+$/.test(part) ? BigInt(part) : part));
}

export function withoutCase(value: Value): Value {
  return isText(value) ? lower(value) : value;
}
