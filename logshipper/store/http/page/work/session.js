// One question and its lines: searched, gone on with, followed live without a gap or a repeat.

import { Lines } from "../pure/lines.js";
import { span } from "../pure/ranges.js";
import { sortKey } from "../pure/times.js";
import { conditions } from "../pure/url.js";
import { ask } from "./api.js";
import { Tail } from "./tail.js";

const FIRST_LINES = 200;
const PAGE_LINES = 500;
const MAX_LINES = 200_000;
const LIVE_ENTRIES = 5_000;
const MAX_ARRIVED = 5_000;
const MAX_GAP_PAGES = 8;

/**
 * What is searched for and what was found. `isReading` says whether the list must keep still: new
 * lines wait then. `changed` is called after each change of:
 * lines, phase (idle, searching, older), problem, more, took (ms), tail (off, opening, on,
 * interrupted), arrived (lines that wait above), overflow (more than could wait), dropped.
 */
export class Session {
  constructor(changed, isReading) {
    this.changed = changed;
    this.isReading = isReading;
    this.lines = new Lines();
    this.phase = "idle";
    this.problem = null;
    this.more = false;
    this.took = 0;
    this.began = 0;
    this.span = { from: "", to: "" };
    this.searched = false;
    this.generation = 0;
    this.asking = null;
    this.tail = "off";
    this.stream = null;
    this.forgetArrived();
  }

  forgetArrived() {
    this.arrived = [];
    this.overflow = false;
    this.dropped = 0;
    this.held = null;
  }

  /** Asks a question anew. */
  async show(state) {
    this.state = state;
    this.span = span(state, Date.now());
    this.generation += 1;
    this.closeTail();
    this.forgetArrived();
    const { generation } = this;
    await this.search();
    if (state.live && generation === this.generation && !this.problem) this.openTail();
  }

  question(extra) {
    const asked = conditions(this.state, this.span);
    for (const [name, value] of Object.entries(extra)) asked.set(name, value);
    return asked;
  }

  async search() {
    const signal = this.begin("searching");
    try {
      const found = await ask(`/api/search?${this.question({ limit: FIRST_LINES })}`, signal);
      this.lines = new Lines();
      this.lines.addOlder(found.hits);
      this.end(found.more);
    } catch (error) {
      this.fail(error, signal, () => {
        this.lines = new Lines();
      });
    }
  }

  /** Gets the next older lines. */
  async older() {
    const { lines } = this;
    if (this.phase !== "idle" || !this.more || !lines.oldest) return;
    if (lines.count >= MAX_LINES) return;
    const signal = this.begin("older");
    try {
      const asked = this.question({ limit: PAGE_LINES, before: lines.oldest.id });
      const found = await ask(`/api/search?${asked}`, signal);
      lines.addOlder(found.hits);
      this.end(found.more);
    } catch (error) {
      this.fail(error, signal);
    }
  }

  begin(phase) {
    this.asking?.abort();
    this.asking = new AbortController();
    this.phase = phase;
    this.problem = null;
    this.began = performance.now();
    this.changed();
    return this.asking.signal;
  }

  end(more) {
    this.phase = "idle";
    this.searched = true;
    this.more = more;
    this.took = performance.now() - this.began;
    this.changed();
  }

  fail(error, signal, also = () => {}) {
    // Another question has taken its place.
    if (signal !== this.asking?.signal) return;
    this.phase = "idle";
    if (error.name === "AbortError") {
      this.problem = { status: -1, message: "The search was cancelled", fix: "" };
    } else {
      also();
      if (error.status === 401) this.closeTail();
      this.problem = error;
    }
    this.searched = true;
    this.changed();
  }

  /** Gives the question up. */
  cancel() {
    this.asking?.abort();
  }

  /** Whether all that may be shown is. */
  get full() {
    return this.more && this.lines.count >= MAX_LINES;
  }

  openTail() {
    const { generation } = this;
    const now = (told) => (...given) => generation === this.generation && told(...given);
    this.tail = "opening";
    this.stream = new Tail(`/api/tail?${conditions(this.state)}`, {
      opened: now(() => this.catchUp(generation)),
      lines: now((hits) => this.take(hits)),
      dropped: now((count) => this.drop(count)),
      interrupted: now(() => this.setTail("interrupted")),
      mayOpen: now(() => this.mayFollow()),
    });
  }

  // The store had to leave lines out. What comes now begins the list anew, so that it has no
  // hole: those lines are stored all the same, and are found by going on from its end.
  drop(count) {
    this.dropped += count;
    if (this.held) {
      this.held = [];
      this.overflow = true;
    } else if (this.waits) {
      this.overflow = true;
    } else {
      this.lines = new Lines();
      this.more = true;
    }
    this.changed();
  }

  // What comes after lines that wait has to wait, too.
  get waits() {
    return this.overflow || this.arrived.length > 0 || this.isReading();
  }

  closeTail() {
    this.stream?.close();
    this.stream = null;
    this.tail = "off";
  }

  // What is refused now is not asked for again by itself: somebody has to sign in, or to ask else.
  async mayFollow() {
    try {
      await ask(`/api/search?${this.question({ limit: 1 })}`);
      return true;
    } catch (error) {
      if ([400, 401, 403].includes(error.status)) {
        this.closeTail();
        this.problem = error;
        this.changed();
      }
      return false;
    }
  }

  setTail(tail) {
    this.tail = tail;
    this.changed();
  }

  /** Finds what was committed before the tail was open, back to what is known. */
  async catchUp(generation) {
    this.held ??= [];
    this.setTail("on");
    let found = { hits: [], more: true };
    const fresh = [];
    let met = this.lines.count === 0;
    try {
      for (let page = 0; page < MAX_GAP_PAGES && found.more; page += 1) {
        const last = found.hits.at(-1);
        const extra = { limit: PAGE_LINES, ...(last ? { before: last.id } : {}) };
        found = await ask(`/api/search?${this.question(extra)}`);
        if (generation !== this.generation) return;
        fresh.push(...found.hits);
        met ||= !found.more || found.hits.some((hit) => this.lines.known.has(hit.id));
        if (met) break;
      }
    } catch (error) {
      if (generation !== this.generation) return;
      this.problem = error;
    }
    const held = this.held ?? [];
    this.held = null;
    if (this.overflow && !this.isReading()) this.show(this.state);
    else if (met) this.take([...fresh, ...held]);
    else if (fresh.length) this.replace(fresh, held, found.more);
    else this.take(held);
  }

  // More came in the gap than is worth searching for: the list begins anew, and older lines
  // are found by going on from its end.
  replace(fresh, held, more) {
    if (this.waits) {
      this.overflow = true;
    } else {
      this.lines = new Lines();
      this.lines.addOlder(fresh);
      this.lines.addNewer(held);
      this.more = more;
    }
    this.changed();
  }

  take(hits) {
    const fresh = hits.filter((hit) => !this.lines.known.has(hit.id) && this.isWanted(hit));
    if (this.held) {
      this.held.push(...fresh);
      if (this.held.length > MAX_ARRIVED) this.held.splice(0, this.held.length - MAX_ARRIVED);
    } else if (this.waits) {
      this.wait(fresh);
    } else if (fresh.length) {
      this.lines.addNewer(fresh);
      if (this.lines.trim(LIVE_ENTRIES)) this.more = true;
    }
    this.changed();
  }

  // A late line older than the last one shown comes with its page.
  isWanted(hit) {
    const { oldest } = this.lines;
    return !this.more || !oldest || sortKey(hit.time) >= sortKey(oldest.time);
  }

  wait(hits) {
    const known = new Set(this.arrived.map((hit) => hit.id));
    this.arrived.push(...hits.filter((hit) => !known.has(hit.id)));
    if (this.arrived.length > MAX_ARRIVED) {
      this.arrived = this.arrived.slice(-MAX_ARRIVED);
      this.overflow = true;
    }
  }

  /** Goes on by itself when nobody reads any more. */
  resume() {
    if (this.arrived.length && !this.overflow && !this.isReading()) this.showArrived();
  }

  /** Shows the lines that wait. */
  showArrived() {
    if (this.overflow) {
      this.show(this.state);
      return;
    }
    const hits = this.arrived;
    this.arrived = [];
    this.lines.addNewer(hits);
    if (!this.isReading() && this.lines.trim(LIVE_ENTRIES)) this.more = true;
    this.changed();
  }
}
