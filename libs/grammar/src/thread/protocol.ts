import type { StructureWish } from '#contracts/structure-wish.js';
import type { StructureLimits } from '../budget.js';
import type { StructureFault } from '../errors.js';
import type { MaskSlots } from './mask-slots.js';
import type { Vocabulary } from './vocabulary.js';

/** Between the grammar thread and its owner, in lists. Commands are done one after another, each gets one answer. */

export interface GrammarWorkerData {
  readonly vocabulary: Vocabulary;
  readonly slots: MaskSlots;
  readonly memoryBytes: number;
  readonly cacheBytes: number;
  readonly limits?: StructureLimits;
  /** Whether it compiles grammars of its own while it has nothing to do, until they take no time any more. */
  readonly warmsUp: boolean;
}

/** Where the next mask goes, and under which number. */
export interface MaskPlace {
  readonly slot: number;
  readonly number: number;
}

/** What a matcher is begun with. */
export interface Beginning {
  readonly grammar: string;
  /** Tokens that end an answer beside the vocabulary's stop tokens: allowed where those are, and only there. */
  readonly ends?: readonly number[] | undefined;
  /** Tokens that may be drawn whatever the grammar allows; absent: all. */
  readonly only?: readonly number[] | undefined;
}

export type Command =
  | { readonly kind: 'translate'; readonly wish: StructureWish }
  | { readonly kind: 'compile'; readonly grammar: string }
  /** A matcher that has read `tokens`. */
  | ({ readonly kind: 'begin'; readonly id: number; readonly tokens: readonly number[] } & Beginning)
  | {
      readonly kind: 'advance';
      readonly id: number;
      readonly tokens: readonly number[];
      readonly place?: MaskPlace;
    }
  /** Tokens that may come, and for each of them the place of the mask behind it; the matcher stays where it was. */
  | {
      readonly kind: 'guess';
      readonly id: number;
      readonly tokens: readonly number[];
      readonly places: readonly MaskPlace[];
    }
  | { readonly kind: 'rollback'; readonly id: number; readonly count: number; readonly place?: MaskPlace }
  | { readonly kind: 'end'; readonly id: number };

/** Where a command's masks go. */
export function placesOf(command: Command): readonly MaskPlace[] {
  if (command.kind === 'guess') return command.places;
  return 'place' in command && command.place !== undefined ? [command.place] : [];
}

export interface Advance {
  /** How many of the tokens the grammar took; behind the first that it did not take, none. */
  readonly accepted: number;
  /** A stop token was taken: nothing may follow. */
  readonly ended: boolean;
}

export type Outcome =
  | { readonly value: string | Advance | undefined }
  | {
      readonly fault: StructureFault;
      readonly message: string;
      readonly keyword?: string | undefined;
      readonly pointer?: string | undefined;
      /** The library is of no use any more. */
      readonly isFatal: boolean;
    };

export interface Request {
  readonly request: number;
  readonly command: Command;
}

export interface Answer {
  readonly request: number;
  readonly outcome: Outcome;
  /** What the thread worked for it. */
  readonly took_ms: number;
}
