// The fleet as it changes: one stream, which counts as live only while it is heard.

import { Refused, refusalOf } from "../../work/api.js";
import { milliseconds } from "../../pure/times.js";
import { EventStream } from "../pure/eventstream.js";
import { merged, UNKNOWN, whole } from "../pure/fleet.js";
import { lags } from "../pure/hosts.js";

const PATH = "/api/fleet/live";
// The store says something every 15 seconds; with two of them missing nobody is there.
const DEAF_MS = 35_000;
const UNSEEN_MS = 60_000;
const RETRY_MS = 1_000;
const MAX_RETRY_MS = 15_000;
const TICK_MS = 1_000;
// Nobody else can do anything about these by trying again.
const FINAL = new Set([401, 403, 404]);
const SHOWN = ["services", "hosts", "releases", "orders", "rejected"];
const MAX_WAY_MS = 5_000;
const HEADERS = { Accept: "text/event-stream", "X-Requested-With": "page" };

// A wrong clock in a laptop must make nothing look older than it is. What a message takes on its
// way is no difference of clocks.
function skew(time) {
  const ahead = milliseconds(time) - Date.now();
  return Math.abs(ahead) > MAX_WAY_MS ? ahead : 0;
}

/**
 * Follows the fleet; `changed` is called after each change of:
 * fleet, lags, link (connecting, live, lost, refused, paused), problem, retryAt (ms), heardAt (ms
 * of the last word while it was live), changedAt (ms of the last change that was seen, or of the
 * first sight), skewMs (by which the store's clock is ahead of this one's).
 */
export class Follow {
  constructor(changed) {
    this.changed = changed;
    this.fleet = UNKNOWN;
    this.isKnown = false;
    this.lags = new Map();
    this.link = "connecting";
    this.problem = null;
    this.heardAt = 0;
    this.changedAt = 0;
    this.skewMs = 0;
    this.retryAt = 0;
    this.pause = RETRY_MS;
    this.asking = null;
    this.hiddenAt = 0;
    this.onSight = () => this.watchSight();
    document.addEventListener("visibilitychange", this.onSight);
    this.ticking = setInterval(() => this.tick(), TICK_MS);
    this.open();
  }

  /** Whether what is shown is the fleet as it is now. */
  get isLive() {
    return this.link === "live" && !this.fleet.stale;
  }

  async open() {
    this.asking?.abort();
    const asking = new AbortController();
    this.asking = asking;
    this.link = "connecting";
    this.retryAt = 0;
    this.heard();
    this.changed();
    try {
      await this.read(asking.signal);
      throw new Refused(0, "The log store has ended the connection");
    } catch (error) {
      if (asking === this.asking) this.lose(error);
    }
  }

  async read(signal) {
    let response;
    try {
      response = await fetch(PATH, { signal, headers: HEADERS, cache: "no-store" });
    } catch (error) {
      throw error.name === "AbortError" ? error : new Refused(0, "The log store cannot be reached");
    }
    if (!response.ok) throw refusalOf(response.status, await response.json().catch(() => null));
    const stream = new EventStream();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read().catch(() => ({ done: true }));
      if (done || signal.aborted) return;
      this.heard();
      for (const event of stream.feed(value)) this.take(event);
    }
  }

  heard() {
    this.lastMs = Date.now();
    if (this.isLive) this.heardAt = this.lastMs;
  }

  take({ event, data }) {
    if (event !== "fleet" && event !== "change") return;
    const told = JSON.parse(data);
    this.fleet = event === "fleet" ? whole(told) : merged(this.fleet, told);
    this.isKnown = true;
    if (event === "fleet" || SHOWN.some((name) => Object.hasOwn(told, name))) this.changedAt = Date.now();
    this.skewMs = skew(this.fleet.time);
    this.link = "live";
    this.problem = null;
    this.pause = RETRY_MS;
    this.lags = lags(this.fleet.hosts.values(), this.lags, Date.now());
    this.heard();
    this.changed();
  }

  lose(error) {
    this.asking?.abort();
    this.asking = null;
    this.problem = error.status === undefined ? new Refused(0, "The log store says what this page does not understand") : error;
    if (FINAL.has(error.status)) {
      this.link = "refused";
      // What one may no longer see is not left standing.
      if (error.status !== 404) this.forget();
    } else {
      this.link = "lost";
      this.retryAt = Date.now() + this.pause;
      this.pause = Math.min(this.pause * 2, MAX_RETRY_MS);
    }
    this.changed();
  }

  forget() {
    this.fleet = UNKNOWN;
    this.isKnown = false;
    this.lags = new Map();
  }

  // By the clock of the wall: that of the page stands still while a laptop sleeps.
  tick() {
    const now = Date.now();
    if (this.hiddenAt && now - this.hiddenAt >= UNSEEN_MS && this.asking) this.rest();
    else if (this.asking && now - this.lastMs >= DEAF_MS) {
      this.lose(new Refused(0, `Nothing was heard from the log store for ${DEAF_MS / 1000} seconds`));
    } else if (this.retryAt && now >= this.retryAt && !document.hidden) this.open();
    else this.changed();
  }

  // A browser opens six connections to a host, for all tabs together: tabs that nobody looks at
  // would leave none for the one that somebody does.
  watchSight() {
    this.hiddenAt = document.hidden ? Date.now() : 0;
    if (!document.hidden && !this.asking && this.link !== "refused") this.open();
  }

  rest() {
    this.asking?.abort();
    this.asking = null;
    this.retryAt = 0;
    this.link = "paused";
    this.changed();
  }

  close() {
    document.removeEventListener("visibilitychange", this.onSight);
    clearInterval(this.ticking);
    this.asking?.abort();
    this.asking = null;
  }
}
