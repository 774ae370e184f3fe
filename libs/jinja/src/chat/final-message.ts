import { TemplateFault } from '../errors.js';
import type { Rendered } from '../template.js';
import { concatenate, isText, marked, marksOf, plain, sliceUnits, MarkedText } from '../text.js';
import { Dict, type Value } from '../values.js';

/*
 * A chat whose last message is to be gone on with: as in Transformers, a tag at the message's end shows where the
 * template put it, and the prompt is cut there.
 */

/** Text that nobody writes; its last space tells a template that trims from one that does not. */
const TAG = 'THE_FINAL_MESSAGE_GOES_ON_HERE ';

/** The messages with the tag at the end of the last one's text. */
export function withTag(messages: Value): Value {
  if (!Array.isArray(messages)) return messages;
  const last = messages.at(-1) as Value;
  const content = last instanceof Dict ? last.get('content') : undefined;
  if (!(last instanceof Dict) || !isText(content))
    throw new TemplateFault('ValueError', 'the final message has no text to go on with');
  last.set('content', concatenate([content, marked(TAG)]));
  return messages;
}

/** The rendered chat up to the tag. */
export function cutAtTag({ text, outside }: Rendered): Rendered {
  const at = text.lastIndexOf(TAG.trimEnd());
  if (at < 0)
    throw new TemplateFault(
      'ValueError',
      "the template does not show the final message's end, so none can go on",
    );
  const isSpaced = text.startsWith(TAG, at);
  const end = isSpaced ? at : text.slice(0, at).trimEnd().length;
  const kept = sliceUnits(new MarkedText(text, outside), 0, end);
  return { text: plain(kept), outside: marksOf(kept) };
}
