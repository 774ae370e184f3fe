import { parentPort, workerData } from 'node:worker_threads';
import type { AddedTokensData, CoderCall, CoderMessage, CoderValue } from './added-tokens-protocol.js';
import { type LibraryCoder, TooManyTokensError } from './text-coder.js';
import { coderWithAdded, TokenPlaceError } from './tokenizer.js';

/** Makes the tokenizer of an adapter with tokens of its own, and codes its texts. */

const { source, tokens, nonce } = workerData as AddedTokensData;
const port = parentPort as NonNullable<typeof parentPort>;
const tell = (message: CoderMessage) => port.postMessage(message);

function valueOf(coder: LibraryCoder, call: CoderCall): Promise<CoderValue> {
  if ('encode' in call) return coder.encode(call.encode, call.addSpecial, call.limitTokens);
  if ('guarded' in call) return coder.encodeGuarded(call.guarded, call.limitTokens);
  return coder.decode(call.decode);
}

async function answer(coder: LibraryCoder, call: number, asked: CoderCall): Promise<void> {
  try {
    tell({ call, value: await valueOf(coder, asked) });
  } catch (error) {
    if (error instanceof TooManyTokensError) tell({ call, tooMany: error.tokens });
    else tell({ call, failure: error instanceof Error ? error.message : String(error) });
  }
}

function serve(): void {
  const coder = coderWithAdded(source, tokens, nonce);
  port.on('message', ({ call, asked }: { call: number; asked: CoderCall }) => {
    void answer(coder, call, asked);
  });
  tell({ ready: coder.renderData });
}

try {
  serve();
} catch (error) {
  if (!(error instanceof TokenPlaceError)) throw error;
  tell({ misplaced: error.message });
}
