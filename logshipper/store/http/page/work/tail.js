// Lines as they are committed: one stream of events, handed on in batches, closed while unseen.

const BATCH_MS = 100;
const UNSEEN_MS = 60_000;
const RETRY_MS = 1_000;
const MAX_RETRY_MS = 15_000;

/**
 * A live tail.
 *
 * `told` has `opened` (from now on nothing is missing; what was before is to be searched for),
 * `lines`, `dropped` (the store had to leave so many out), `interrupted`, and `mayOpen`, which is
 * asked before it is tried again.
 */
export class Tail {
  constructor(path, told) {
    this.path = path;
    this.told = told;
    this.source = null;
    this.waiting = [];
    this.timer = 0;
    this.retry = 0;
    this.pause = RETRY_MS;
    this.unseen = 0;
    this.seen = () => this.watchSight();
    document.addEventListener("visibilitychange", this.seen);
    this.open();
  }

  open() {
    this.source?.close();
    const source = new EventSource(this.path);
    this.source = source;
    source.addEventListener("open", () => {
      this.pause = RETRY_MS;
      this.told.opened();
    });
    source.addEventListener("message", (event) => this.put(event.data));
    source.addEventListener("dropped", (event) => {
      this.flush();
      this.told.dropped(Number(event.data) || 0);
    });
    source.addEventListener("error", () => this.lose(source));
  }

  // The browser would try again by itself, and ask for a password in a window of its own when
  // the session is over meanwhile.
  lose(source) {
    if (source !== this.source) return;
    source.close();
    this.source = null;
    this.told.interrupted();
    this.retry = setTimeout(() => this.again(), this.pause);
    this.pause = Math.min(this.pause * 2, MAX_RETRY_MS);
  }

  async again() {
    this.retry = 0;
    const may = await this.told.mayOpen();
    if (this.closed || this.source || this.retry) return;
    if (may) this.open();
    else this.retry = setTimeout(() => this.again(), this.pause);
  }

  put(text) {
    try {
      this.waiting.push(JSON.parse(text));
    } catch {
      return;
    }
    // A hundred lines a second are ten changes of the page, not a hundred.
    this.timer ||= setTimeout(() => this.flush(), BATCH_MS);
  }

  flush() {
    clearTimeout(this.timer);
    this.timer = 0;
    const lines = this.waiting;
    this.waiting = [];
    if (lines.length) this.told.lines(lines);
  }

  // A browser opens six connections to a host, for all tabs together: tabs that nobody looks at
  // would leave none for the one that somebody does.
  watchSight() {
    clearTimeout(this.unseen);
    if (document.hidden) this.unseen = setTimeout(() => this.rest(), UNSEEN_MS);
    else if (!this.source && !this.retry) this.again();
  }

  rest() {
    clearTimeout(this.retry);
    this.retry = 0;
    this.source?.close();
    this.source = null;
  }

  close() {
    this.closed = true;
    document.removeEventListener("visibilitychange", this.seen);
    for (const timer of [this.timer, this.retry, this.unseen]) clearTimeout(timer);
    this.source?.close();
    this.source = null;
  }
}
