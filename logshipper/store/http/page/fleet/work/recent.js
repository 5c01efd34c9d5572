// What the daemons did: the newest events, more of them behind, and new ones as they come.

import { ask } from "../../work/api.js";
import { sortKey } from "../../pure/times.js";

const PAGE = 200;
const NEWEST = 100;
const EVERY_MS = 3_000;
const MAX_EVENTS = 20_000;

/**
 * One list of events after another; `changed` is called after each change of:
 * events (newest first), phase (idle, searching, older), more, problem, at (ms of the last answer).
 */
export class Recent {
  constructor(changed) {
    this.changed = changed;
    this.state = null;
    this.generation = 0;
    this.timer = 0;
    this.forget();
  }

  forget() {
    this.events = [];
    this.known = new Set();
    this.more = false;
    this.problem = null;
    this.at = 0;
    this.phase = "idle";
    this.isAsked = false;
  }

  /** Asks for the events of a state, and goes on asking while it is live. */
  async show(state) {
    this.generation += 1;
    clearTimeout(this.timer);
    this.asking?.abort();
    this.asking = new AbortController();
    this.forget();
    this.state = state;
    const { generation } = this;
    this.phase = "searching";
    this.changed();
    await this.take(PAGE, {}, (found) => (this.more = found.more === true), generation);
    if (state.live) this.goOn(generation);
  }

  goOn(generation) {
    if (generation !== this.generation) return;
    this.timer = setTimeout(async () => {
      if (!document.hidden) await this.newer(generation);
      this.goOn(generation);
    }, EVERY_MS);
  }

  async newer(generation) {
    const newest = this.events[0]?.time ?? "";
    await this.take(NEWEST, {}, (found) => {
      // More came than one answer holds: the list begins anew, so that it has no hole.
      const oldest = found.events.at(-1);
      if (found.more && newest && sortKey(oldest.time) > sortKey(newest)) {
        this.events = [];
        this.known = new Set();
        this.more = true;
      }
    }, generation);
  }

  /** Gets the next older ones. */
  async older() {
    const oldest = this.events.at(-1);
    if (this.phase !== "idle" || !this.more || this.problem || !oldest || this.events.length >= MAX_EVENTS) return;
    this.phase = "older";
    this.changed();
    const before = this.events.length;
    await this.take(PAGE, { before: oldest.id }, (found) => (this.more = found.more === true), this.generation);
    if (this.events.length === before) this.more = false;
  }

  async take(limit, extra, first, generation) {
    const asked = new URLSearchParams({ limit, ...extra });
    for (const name of ["host", "daemon", "level"]) {
      for (const value of this.state[name]) asked.append(name, value);
    }
    try {
      const found = await ask(`/api/fleet/events?${asked}`, this.asking.signal);
      if (generation !== this.generation) return;
      this.problem = null;
      this.at = Date.now();
      first(found);
      this.add(found.events);
    } catch (error) {
      if (generation !== this.generation || error.name === "AbortError") return;
      this.problem = error;
    }
    this.phase = "idle";
    this.isAsked = true;
    this.changed();
  }

  add(told) {
    const fresh = [];
    for (const event of told) {
      const key = event.id;
      if (this.known.has(key)) continue;
      this.known.add(key);
      fresh.push({ ...event, key });
    }
    if (!fresh.length) return;
    this.events = [...fresh, ...this.events].sort((a, b) => (sortKey(a.time) < sortKey(b.time) ? 1 : sortKey(a.time) > sortKey(b.time) ? -1 : 0));
    // A screen on a wall is looked at for weeks: the oldest go, and are had again by a new search.
    for (const event of this.events.splice(MAX_EVENTS)) {
      this.known.delete(event.key);
      this.more = true;
    }
  }

  close() {
    this.generation += 1;
    clearTimeout(this.timer);
    this.asking?.abort();
  }
}
