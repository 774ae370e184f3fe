import { content, type Reader, type Said } from './reader.js';

/** All text is the answer's. */
export class PlainReader implements Reader {
  push(text: string): Said[] {
    return content(text);
  }

  end(): Said[] {
    return [];
  }
}
