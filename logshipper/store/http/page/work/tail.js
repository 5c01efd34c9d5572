// Lines as they are committed: one stream of events, handed on in batches, closed while unseen.

const BATCH_MS = 100;
const UNSEEN_MS = 60_000;
const RETRY_MS = 5_000;

/**
 * A live tail.
 *
 * `told` has `opened` (from now on nothing is missing; what was before is to be searched for),
 * `lines`, `dropped` (the store had to leave so many out), `interrupted` and `refused`.
 */
export class Tail {
  constructor(path, told) {
    this.path = path;
    this.told = told;
    this.source = null;
    this.waiting = [];
    this.timer = 0;
    this.retry = 0;
    this.unseen = 0;
    this.seen = () => this.watchSight();
    document.addEventListener("visibilitychange", this.seen);
    this.open();
  }

  open() {
    this.source?.close();
    const source = new EventSource(this.path);
    this.source = source;
    source.addEventListener("open", () => this.told.opened());
    source.addEventListener("message", (event) => this.put(event.data));
    source.addEventListener("dropped", (event) => {
      this.flush();
      this.told.dropped(Number(event.data) || 0);
    });
    source.addEventListener("error", () => {
      this.told.interrupted();
      // The browser tries again by itself, but for an answer that refuses.
      if (source.readyState === EventSource.CLOSED) {
        this.told.refused();
        clearTimeout(this.retry);
        this.retry = setTimeout(() => this.open(), RETRY_MS);
      }
    });
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
    if (document.hidden) this.unseen = setTimeout(() => this.pause(), UNSEEN_MS);
    else if (!this.source) this.open();
  }

  pause() {
    clearTimeout(this.retry);
    this.source?.close();
    this.source = null;
  }

  close() {
    document.removeEventListener("visibilitychange", this.seen);
    for (const timer of [this.timer, this.retry, this.unseen]) clearTimeout(timer);
    this.source?.close();
    this.source = null;
  }
}
