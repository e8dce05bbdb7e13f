// How fast something goes. Pure: time is an argument.

/** Bytes a second over the last few seconds, from cumulative counts. */
export class Rate {
  #samples: [ms: number, loaded: number][] = [];

  /** The rate after `loaded` bytes at `ms`. */
  add(ms: number, loaded: number): number {
    this.#samples.push([ms, loaded]);
    while (this.#samples.length > 2 && ms - (this.#samples[0]?.[0] ?? ms) > 5000) {
      this.#samples.shift();
    }
    const [from, before] = this.#samples[0] ?? [ms, loaded];
    return ms - from >= 250 ? Math.max(0, ((loaded - before) * 1000) / (ms - from)) : 0;
  }
}
