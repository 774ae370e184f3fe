import { setImmediate as immediate } from 'node:timers/promises';
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
import { warmUp } from './warm-up.js';
import { loadXgrammar } from './xgrammar.js';

/** Owns the automaton library: whatever it does to itself ends this thread and nothing else. */

const data = workerData as GrammarWorkerData;
const port = parentPort as NonNullable<typeof parentPort>;
const tell = (message: readonly Answer[] | 'ready') => port.postMessage(message);

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

async function work({ request, command }: Request): Promise<Answer> {
  const begin_ms = performance.now();
  const outcome = await outcomeOf(command);
  return { request, outcome, took_ms: performance.now() - begin_ms };
}

/** Short commands: their masks are told by number, and nobody waits for the answers. */
const isBrief = ({ command: { kind } }: Request): boolean =>
  kind === 'advance' || kind === 'guess' || kind === 'rollback' || kind === 'end';

/** Answers brief commands together. All that was done is told before one that may end the thread, which is blamed for it. */
async function workAll(requests: readonly Request[]): Promise<void> {
  let answers: Answer[] = [];
  const flush = (): void => {
    if (answers.length > 0) tell(answers);
    answers = [];
  };
  for (const request of requests) {
    if (!isBrief(request)) flush();
    answers.push(await work(request));
    if (!isBrief(request)) flush();
  }
  flush();
}

let last: Promise<void> = Promise.resolve();
port.on('message', (requests: readonly Request[]) => {
  last = last.then(() => workAll(requests));
});
tell('ready');
if (data.warmsUp)
  await warmUp(async (grammar) => {
    await immediate(); // what was asked meanwhile comes first
    last = last.then(() => matchers.tryOut(grammar));
    await last;
  });
