import { parentPort, workerData } from 'node:worker_threads';
import { StructureError } from '../errors.js';
import { wishGrammar } from '../wish-grammar.js';
import { LibraryMemory } from './library-memory.js';
import { publish } from './mask-slots.js';
import { Matchers } from './matchers.js';
import {
  type Advance,
  type Answer,
  type Command,
  type GrammarWorkerData,
  type Outcome,
  placesOf,
  type Request,
} from './protocol.js';
import { loadXgrammar } from './xgrammar.js';

/** Owns the automaton library: whatever it does to itself ends this thread and nothing else. */

const data = workerData as GrammarWorkerData;
const port = parentPort as NonNullable<typeof parentPort>;
const answer = (message: Answer | 'ready') => port.postMessage(message);

const memory = new LibraryMemory();
const library = memory.watch(data.memoryBytes, loadXgrammar);
const matchers = await Matchers.open(library, data);

async function outcomeOf(command: Command): Promise<Outcome> {
  try {
    return { value: await valueOf(command) };
  } catch (error) {
    // After a fault that ends the thread, the next one writes the mask.
    if (error instanceof StructureError)
      for (const { slot, number } of placesOf(command)) publish(data.slots, slot, -number);
    return faultOf(error);
  }
}

async function valueOf(command: Command): Promise<string | Advance | undefined> {
  switch (command.kind) {
    case 'translate':
      return wishGrammar(command.wish, data.limits);
    case 'compile':
      await matchers.compile(command.grammar);
      return undefined;
    case 'begin':
      await matchers.begin(command.id, command, command.tokens);
      return undefined;
    case 'advance':
      return matchers.advance(command.id, command.tokens, command.place);
    case 'guess':
      await matchers.guess(command.id, command.tokens, command.places);
      return undefined;
    case 'rollback':
      await matchers.rollback(command.id, command.count, command.place);
      return undefined;
    case 'end':
      matchers.end(command.id);
      return undefined;
  }
}

function faultOf(error: unknown): Outcome {
  if (error instanceof StructureError) {
    const { fault, message, keyword, pointer } = error;
    return { fault, message, keyword, pointer, isFatal: false };
  }
  const message = error instanceof Error ? error.message : String(error);
  const isMemory = /out of memory|OOM|cannot enlarge/i.test(message) || memory.bytes > data.memoryBytes * 0.9;
  return isMemory
    ? { fault: 'too_large', message: 'its grammar needs too much memory', isFatal: true }
    : { fault: 'invalid', message: 'the grammar cannot be compiled', isFatal: true };
}

async function work({ request, command }: Request): Promise<void> {
  const begin_ms = performance.now();
  const outcome = await outcomeOf(command);
  answer({ request, outcome, took_ms: performance.now() - begin_ms });
}

let last: Promise<void> = Promise.resolve();
port.on('message', (request: Request) => {
  last = last.then(() => work(request));
});
answer('ready');
