export interface Merged<T> {
  /** Index of the source. */
  readonly source: number;
  readonly value: T;
}

type Arrival<T> =
  | { readonly source: number; readonly result: IteratorResult<T> }
  | { readonly source: number; readonly error: unknown };

/**
 * Yields the values of all sources as they come, asking each source for one value at a time. Throws the first
 * error of any. Who stops reading must also stop the sources: a pending one is not waited for.
 */
export async function* mergeStreams<T>(sources: readonly AsyncIterable<T>[]): AsyncGenerator<Merged<T>> {
  const iterators = sources.map((source) => source[Symbol.asyncIterator]());
  const arrived: Arrival<T>[] = [];
  let wake = (): void => {};
  const ask = (source: number): void => {
    const arrive = (arrival: Arrival<T>) => {
      arrived.push(arrival);
      wake();
    };
    iterators[source]?.next().then(
      (result) => arrive({ source, result }),
      (error: unknown) => arrive({ source, error }),
    );
  };
  for (const source of iterators.keys()) ask(source);
  for (let open = iterators.length; open > 0; ) {
    const arrival = arrived.shift();
    if (!arrival) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    } else if ('error' in arrival) {
      throw arrival.error;
    } else if (arrival.result.done) {
      open -= 1;
    } else {
      yield { source: arrival.source, value: arrival.result.value };
      ask(arrival.source);
    }
  }
}
