/** The memory of the WebAssembly that a module instantiates while it loads. */
export class LibraryMemory {
  #memory: WebAssembly.Memory | undefined;

  /** Calls `load`, which may instantiate later; memory beyond `mostBytes` is refused to what it instantiates. */
  watch<T>(mostBytes: number, load: () => T): T {
    const instantiate = WebAssembly.instantiate;
    WebAssembly.instantiate = (async (...given: Parameters<typeof WebAssembly.instantiate>) => {
      const made = (await instantiate(...given)) as unknown as
        | WebAssembly.Instance
        | WebAssembly.WebAssemblyInstantiatedSource;
      const { exports } = 'instance' in made ? made.instance : made;
      this.#memory = Object.values(exports).find((each) => each instanceof WebAssembly.Memory);
      if (this.#memory !== undefined) limitGrowth(this.#memory, mostBytes);
      return made;
    }) as unknown as typeof WebAssembly.instantiate;
    return load();
  }

  /** It never shrinks. */
  get bytes(): number {
    return this.#memory?.buffer.byteLength ?? 0;
  }
}

const PAGE_BYTES = 65_536;

function limitGrowth(memory: WebAssembly.Memory, mostBytes: number): void {
  const grow = memory.grow.bind(memory);
  memory.grow = (pages) => {
    if (memory.buffer.byteLength + pages * PAGE_BYTES > mostBytes) throw new RangeError('out of memory');
    return grow(pages);
  };
}
