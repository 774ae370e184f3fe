import { type CodePoints, single } from '../automaton/code-points.js';
import type { Dfa } from '../automaton/dfa.js';
import { ofMachine } from '../automaton/languages.js';
import type { Budget } from '../budget.js';
import { StructureError } from '../errors.js';
import { type Decimal, decimalOf } from './number-text.js';

/** What a number may be. */
export interface NumberFacts {
  readonly integer: boolean;
  readonly min?: NumberBound;
  readonly max?: NumberBound;
  /** A whole number. */
  readonly multipleOf?: number;
}

export interface NumberBound {
  readonly value: number;
  readonly exclusive: boolean;
}

/** As many digits as a double keeps apart, whatever the number: beyond them a reader may round onto an excluded bound. */
const EXACT_DIGITS = 15;
/** A number without bounds: models go on with digits for ever. */
export const FREE_DIGITS = 19;
const LETTERS: readonly CodePoints[] = [...'0123456789-.'].map((letter) =>
  single(letter.codePointAt(0) as number),
);
const MINUS = 10;
const POINT = 11;

/** -1, 0, 1: what was read so far is less than, equal to, greater than as many digits of the bound. */
type Order = -1 | 0 | 1;

interface State {
  readonly negative: boolean;
  readonly phase: 'start' | 'sign' | 'whole' | 'point' | 'fraction';
  /** Of the part at hand. */
  readonly digits: number;
  readonly isZero: boolean;
  /** Against the bounds of the magnitude: the lower, the upper. */
  readonly orders: readonly [Order, Order];
  readonly remainder: number;
}

interface MagnitudeBound extends Decimal {
  readonly exclusive: boolean;
}

/** Bounds of the magnitude, without sign. */
type Magnitudes = readonly [low: MagnitudeBound | undefined, high: MagnitudeBound | undefined];

/** The texts of numbers within bounds: no exponent, no more digits than readers keep apart. */
export function numberLanguage(facts: NumberFacts, budget: Budget): Dfa {
  const machine = new NumberMachine(facts);
  return ofMachine(machine, budget);
}

class NumberMachine {
  readonly letters = LETTERS;
  readonly start: State = {
    negative: false,
    phase: 'start',
    digits: 0,
    isZero: false,
    orders: [0, 0],
    remainder: 0,
  };
  readonly #positive: Magnitudes | undefined;
  readonly #negative: Magnitudes | undefined;
  readonly #wholeDigits: number;
  readonly #fractionDigits: number;
  readonly #divisor: number;

  constructor(facts: NumberFacts) {
    const { min, max } = facts.integer ? wholeBounds(facts) : facts;
    this.#positive = magnitudes(min, max);
    this.#negative = magnitudes(negated(max), negated(min));
    this.#divisor = facts.multipleOf ?? 1;
    const bounds = [min, max].filter((bound) => bound !== undefined);
    const most = Math.max(1, ...bounds.map(({ value }) => decimalOf(value).whole.length));
    if (most > 100) throw new StructureError('too_large', 'a bound has more than 100 digits');
    if (facts.integer) {
      this.#wholeDigits =
        facts.multipleOf === undefined
          ? Math.max(FREE_DIGITS, most + 1)
          : multipleDigits(facts.multipleOf, most);
      this.#fractionDigits = 0;
      return;
    }
    const isExact = bounds.every(({ exclusive }) => !exclusive);
    if (!isExact && most >= EXACT_DIGITS)
      throw new StructureError('unsupported', 'so large an exclusive bound cannot be enforced');
    this.#wholeDigits = isExact ? Math.max(FREE_DIGITS, most + 1) : Math.max(most, 10);
    this.#fractionDigits = EXACT_DIGITS - (isExact ? 0 : this.#wholeDigits);
    // Bounds finer than that would leave nothing between them.
    const finest = Math.max(0, ...bounds.map(({ value }) => decimalOf(value).fraction.length));
    if (isExact) this.#fractionDigits = Math.min(40, Math.max(this.#fractionDigits, finest));
  }

  step(state: State, letter: number): State | undefined {
    if (letter === MINUS)
      return state.phase === 'start' && this.#negative !== undefined
        ? { ...state, negative: true, phase: 'sign' }
        : undefined;
    if (letter === POINT)
      return state.phase === 'whole' && this.#fractionDigits > 0
        ? { ...state, phase: 'point', digits: 0, orders: this.#atPoint(state) }
        : undefined;
    if (state.phase === 'point' || state.phase === 'fraction') return this.#fractionDigit(state, letter);
    return this.#wholeDigit(state, letter);
  }

  accepts(state: State): boolean {
    if (state.phase !== 'whole' && state.phase !== 'fraction') return false;
    if (state.negative && state.isZero) return false;
    if (this.#divisor > 1 && state.remainder !== 0) return false;
    const [low, high] = this.#bounds(state) ?? [undefined, undefined];
    const orders = state.phase === 'whole' ? this.#atPoint(state) : state.orders;
    const behind = state.phase === 'whole' ? 0 : state.digits;
    const isEqual = (order: Order, bound: MagnitudeBound) => order === 0 && bound.fraction.length <= behind;
    if (low !== undefined && !(orders[0] > 0 || (isEqual(orders[0], low) && !low.exclusive))) return false;
    // Equal so far, and digits of the bound are left: it is less.
    if (high === undefined || orders[1] < 0) return true;
    return orders[1] === 0 && (high.fraction.length > behind || !high.exclusive);
  }

  key(state: State): string {
    const { negative, phase, digits, isZero, orders, remainder } = state;
    return `${negative}${phase}${digits}${isZero}${orders.join()},${remainder}`;
  }

  #bounds(state: State): Magnitudes | undefined {
    return state.negative ? this.#negative : this.#positive;
  }

  #wholeDigit(state: State, digit: number): State | undefined {
    const bounds = this.#bounds(state);
    const isFirst = state.phase !== 'whole';
    if (bounds === undefined || state.digits >= this.#wholeDigits) return undefined;
    if (!isFirst && state.isZero && state.digits === 1) return undefined;
    const order = (index: 0 | 1): Order =>
      compared(state.orders[index], digit, bounds[index]?.whole[state.digits]);
    return {
      negative: state.negative,
      phase: 'whole',
      digits: state.digits + 1,
      isZero: digit === 0 && isFirst,
      orders: [order(0), order(1)],
      remainder: (state.remainder * 10 + digit) % this.#divisor,
    };
  }

  #fractionDigit(state: State, digit: number): State | undefined {
    if (state.digits >= this.#fractionDigits) return undefined;
    const bounds = this.#bounds(state);
    const order = (index: 0 | 1): Order =>
      compared(state.orders[index], digit, bounds?.[index]?.fraction[state.digits] ?? '0');
    return {
      ...state,
      phase: 'fraction',
      digits: state.digits + 1,
      isZero: state.isZero && digit === 0,
      orders: [order(0), order(1)],
    };
  }

  /** Orders of the whole parts: the one with more digits is greater. */
  #atPoint(state: State): readonly [Order, Order] {
    const bounds = this.#bounds(state);
    const order = (index: 0 | 1): Order => {
      const whole = bounds?.[index]?.whole;
      if (whole === undefined || whole.length === state.digits) return state.orders[index];
      return state.digits < whole.length ? -1 : 1;
    };
    return [order(0), order(1)];
  }
}

/** A state for each remainder and digit: without bounds, as many as most counts need. */
function multipleDigits(divisor: number, most: number): number {
  return Math.min(EXACT_DIGITS, Math.max(9, most + 1, String(divisor).length + 2));
}

/** The first digits that differ decide. Behind the last digit of the bound nothing is decided here. */
function compared(before: Order, digit: number, other: string | undefined): Order {
  if (before !== 0 || other === undefined) return before;
  return Math.sign(digit - Number(other)) as Order;
}

function negated(bound: NumberBound | undefined): NumberBound | undefined {
  return bound && { value: -bound.value, exclusive: bound.exclusive };
}

/** Of the numbers from `min` to `max` that are not negative; undefined: there are none. */
function magnitudes(min: NumberBound | undefined, max: NumberBound | undefined): Magnitudes | undefined {
  if (max !== undefined && max.value < 0) return undefined;
  const low = min !== undefined && min.value >= 0 ? min : undefined;
  const digits = (bound: NumberBound | undefined) =>
    bound && { ...decimalOf(bound.value), exclusive: bound.exclusive };
  return [digits(low), digits(max)];
}

/** The same for whole numbers without exclusive bounds. */
function wholeBounds({ min, max }: NumberFacts): { min?: NumberBound; max?: NumberBound } {
  return {
    ...(min && { min: { value: min.exclusive ? above(min.value) : Math.ceil(min.value), exclusive: false } }),
    ...(max && {
      max: { value: max.exclusive ? -above(-max.value) : Math.floor(max.value), exclusive: false },
    }),
  };
}

/** The least whole number above `value`, of those that doubles hold. */
function above(value: number): number {
  for (let step = 1; ; step *= 2) {
    const next = Math.floor(value) + step;
    if (next > value) return next;
  }
}
