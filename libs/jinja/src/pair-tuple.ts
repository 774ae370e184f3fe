import { Tuple, type Value } from './values.js';

/** What `groupby` gives for each group: a tuple whose parts have names. */
export class PairTuple extends Tuple {
  constructor(
    private readonly grouper: Value,
    private readonly list: Value[],
  ) {
    super([grouper, list]);
  }

  override attribute(name: string): Value | undefined {
    if (name === 'grouper') return this.grouper;
    return name === 'list' ? this.list : undefined;
  }
}
