/** A virtual clock, which the client's timers run on while it is installed. A page can be frozen: its timers wait then. */
export class Clock {
  now = 0;
  frozenUntil = 0;
  #timers = new Map(); // in the order in which they were made
  #ids = 0;
  #real = { setTimeout, clearTimeout };
  #realTimeout = AbortSignal.timeout;

  install() {
    globalThis.setTimeout = (call, ms) => this.after(ms, call, true);
    globalThis.clearTimeout = (id) => this.#timers.delete(id);
    AbortSignal.timeout = (ms) => {
      const late = new AbortController();
      this.after(ms, () => late.abort(new Error("timeout")), true);
      return late.signal;
    };
  }

  uninstall() {
    Object.assign(globalThis, this.#real);
    AbortSignal.timeout = this.#realTimeout;
  }

  /** after calls a function later. That of a page waits while the page is frozen. */
  after(ms, call, ofPage = false) {
    this.#timers.set(++this.#ids, { at: this.now + Math.max(0, ms || 0), call, ofPage });
    return this.#ids;
  }

  freeze(ms) { this.frozenUntil = this.now + ms; }

  get frozen() { return this.now < this.frozenUntil; }

  /** run lets time pass until `done`, or for `ms`. It returns what done returned last. */
  async run(ms, done = () => false) {
    const end = this.now + ms;
    for (;;) {
      await new Promise(setImmediate); // promises first
      if (done()) return true;
      let next = null, when = Infinity;
      for (const [id, timer] of this.#timers) {
        const at = timer.ofPage ? Math.max(timer.at, this.frozenUntil) : timer.at;
        if (at < when) [next, when] = [id, at];
      }
      if (when > end) break;
      this.now = Math.max(this.now, when);
      const { call } = this.#timers.get(next);
      this.#timers.delete(next);
      call();
    }
    this.now = end;
    return done();
  }
}

/** random returns a function like Math.random whose numbers follow from a seed (mulberry32). */
export function random(seed) {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
