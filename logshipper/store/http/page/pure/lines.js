// The lines that are shown, newest first, with stack traces folded under the line they belong to.

import { milliseconds, sortKey } from "./times.js";

const FRAME =
  /^(?:\s|$|at \S|Caused by\b|\.\.\. \d+ |Suppressed: |During handling of |The above exception |goroutine \d+ \[)/;
const TRACEBACK = /^Traceback \(most recent call last\)/;
const RAISED =
  /^(?:Exception in thread |(?:[A-Za-z_$][\w$]*[./])*[A-Z][\w$]*(?:Error|Exception|Warning|Exit|Interrupt|Failure|Fault|Throwable)\b)/;
const GRAVE = new Set(["warn", "error", "fatal"]);
const CLOSE_MS = 1000;
const SAME_EVENT_MS = 200;
const MAX_FOLDED = 1000;

/** Whether a line goes on what another began. */
export function isFrame(message) {
  return FRAME.test(message);
}

function isSoft(message) {
  return TRACEBACK.test(message) || RAISED.test(message);
}

function place(hit) {
  return [hit.app, hit.env, hit.host, hit.container, hit.stream].join("\0");
}

/** Whether `later` belongs under the line that is right before it in its container. */
export function belongs(earlier, later, goesOn) {
  const gap = milliseconds(later.time) - milliseconds(earlier.time);
  if (!(Math.abs(gap) <= CLOSE_MS)) return false;
  if (isFrame(later.message)) return true;
  if (RAISED.test(later.message) && isFrame(earlier.message) && earlier.message.trim()) return true;
  // A trace that begins by itself belongs to a grave line just before it, and to no other.
  return isSoft(later.message) && goesOn && GRAVE.has(earlier.level) && gap <= SAME_EVENT_MS;
}

let serial = 0;

function entry(hit) {
  serial += 1;
  return { key: serial, lines: [hit], sort: sortKey(hit.time), open: false, full: false, details: false, revision: 0, height: 0, at: 0 };
}

/** Lines newest first; an entry holds one, or a trace with its oldest first. */
export class Lines {
  constructor() {
    this.entries = [];
    this.count = 0;
    this.folds = 0;
    this.allOpen = false;
    this.oldest = null;
    this.newest = null;
    this.known = new Set();
    this.open = new Map(); // by container: the entry that an older line may begin
    this.latest = new Map(); // by container: the entry that a newer line may go on
  }

  /** Adds a page of older lines, newest first; how many were new. */
  addOlder(hits) {
    const before = this.count;
    for (const hit of hits) {
      if (!this.take(hit)) continue;
      this.oldest = hit;
      const where = place(hit);
      const waiting = this.open.get(where);
      if (waiting && this.begins(waiting, hit)) {
        waiting.lines.unshift(hit);
        this.touched(waiting);
        if (!isFrame(hit.message) && !isSoft(hit.message)) this.open.delete(where);
        continue;
      }
      const made = entry(hit);
      this.entries.push(made);
      if (isFrame(hit.message) || isSoft(hit.message)) this.open.set(where, made);
      else this.open.delete(where);
      if (!this.latest.has(where)) this.latest.set(where, made);
    }
    return this.count - before;
  }

  begins(waiting, hit) {
    const first = waiting.lines[0];
    return waiting.lines.length < MAX_FOLDED && belongs(hit, first, waiting.lines.length > 1);
  }

  /** Adds lines that have just come, in any order; how many were new. */
  addNewer(hits) {
    const before = this.count;
    const fresh = hits.filter((hit) => !this.known.has(hit.id));
    fresh.sort((a, b) => (sortKey(a.time) < sortKey(b.time) ? -1 : 1));
    for (const hit of fresh) {
      if (!this.take(hit)) continue;
      const where = place(hit);
      const last = this.latest.get(where);
      if (last && last.lines.length < MAX_FOLDED && belongs(last.lines.at(-1), hit, true)) {
        last.lines.push(hit);
        this.touched(last);
        continue;
      }
      const made = entry(hit);
      let at = 0;
      while (at < this.entries.length && this.entries[at].sort > made.sort) at += 1;
      this.entries.splice(at, 0, made);
      if (!last || last.sort <= made.sort) this.latest.set(where, made);
      this.oldest ??= hit;
    }
    return this.count - before;
  }

  take(hit) {
    if (this.known.has(hit.id)) return false;
    this.known.add(hit.id);
    this.count += 1;
    if (!this.newest || sortKey(hit.time) >= sortKey(this.newest.time)) this.newest = hit;
    return true;
  }

  touched(changed) {
    if (changed.lines.length === 2) {
      this.folds += 1;
      changed.open = this.allOpen;
    }
    changed.revision += 1;
    changed.height = 0;
  }

  /** Keeps the newest entries only; whether any went. */
  trim(most) {
    if (this.entries.length <= most) return false;
    for (const gone of this.entries.splice(most)) {
      for (const hit of gone.lines) this.known.delete(hit.id);
      this.count -= gone.lines.length;
      if (gone.lines.length > 1) this.folds -= 1;
      // A line that an older page brings again finds nothing here that it could begin.
      const where = place(gone.lines[0]);
      if (this.open.get(where) === gone) this.open.delete(where);
      if (this.latest.get(where) === gone) this.latest.delete(where);
    }
    // Its newest line: of a trace's older ones some are behind lines that have gone.
    this.oldest = this.entries.at(-1)?.lines.at(-1) ?? null;
    return true;
  }

  /** Opens or closes every trace, those too that are still to come. */
  setAllOpen(open) {
    this.allOpen = open;
    for (const each of this.entries) {
      if (each.lines.length > 1 && each.open !== open) {
        each.open = open;
        each.revision += 1;
        each.height = 0;
      }
    }
  }
}

/** The text of an entry as it was logged. */
export function entryText(one) {
  return one.lines.map((hit) => hit.message).join("\n");
}
