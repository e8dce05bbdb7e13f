// Media on their way out. What belongs to a media goes with it, so everything that this page still
// fetches of it (segments, posters, events) has to end before the gateway is asked to delete it.

export class Departures {
  #departing = new Map<string, AbortController>();

  /** Aborted when the media is about to be deleted. For every request that is about the media. */
  signal(id: string): AbortSignal {
    return this.#controller(id).signal;
  }

  /** Ends what is still fetched of a media. */
  begin(id: string): void {
    this.#controller(id).abort();
  }

  /** It could not be deleted, so it may be asked for again. */
  callOff(id: string): void {
    this.#departing.delete(id);
  }

  #controller(id: string): AbortController {
    let controller = this.#departing.get(id);
    if (!controller) this.#departing.set(id, (controller = new AbortController()));
    return controller;
  }
}
