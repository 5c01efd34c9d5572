// What the page says of its search: how much was found, how long it takes, what went wrong.

import { terms } from "../pure/query.js";
import { duration, fullTime, milliseconds } from "../pure/times.js";
import { conditions, format } from "../pure/url.js";
import { ask } from "../work/api.js";
import { html, useEffect, useState } from "../view.js";
import { Icon } from "./icons.js";

const SHOWN_AFTER_MS = 400;
const number = new Intl.NumberFormat("en");

/** Lines in words. */
export function lineCount(count) {
  return `${number.format(count)} ${count === 1 ? "line" : "lines"}`;
}

/** The seconds that a search has taken, as soon as it takes any that one notices. */
export function Elapsed({ since, onCancel }) {
  const [now, setNow] = useState(() => performance.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(performance.now()), 100);
    return () => clearInterval(timer);
  }, [since]);
  const passed = Math.max(0, now - since);
  if (passed < SHOWN_AFTER_MS) return null;
  return html`<span class="elapsed"><span class="spinner" aria-hidden="true"></span>${(passed / 1000).toFixed(1)} s
    <button type="button" class="button small" onClick=${onCancel}>Cancel</button></span>`;
}

/** One line about what is shown, told to screen readers when it changes. */
export function Status({ session, total, exact }) {
  const { lines, phase, searched, took, tail } = session;
  let text = "";
  if (phase === "searching") text = "Searching…";
  else if (searched && !session.problem) {
    const of = total !== null && total > lines.count ? ` of ${exact ? "" : "more than "}${number.format(total)}` : "";
    text = `${lineCount(lines.count)}${of}`;
  }
  const live = { opening: "Connecting…", on: session.arrived.length || session.overflow ? "Live, waiting" : "Live", interrupted: "Interrupted, trying again…" }[tail];
  return html`<p class="status" aria-live="off">
    ${tail === "off" ? html`<span role="status">${text}</span>` : html`<span role="status" class="live-${tail}"><span class="dot" aria-hidden="true"></span>${live}</span><span>${text}</span>`}
    ${tail === "off" && phase === "idle" && searched && !session.problem && html`<span class="took">${Math.round(took)} ms</span>`}
    ${session.dropped > 0 && html`<span class="warned" title="They are stored: a search finds them">${lineCount(session.dropped)} came too fast to show</span>`}
  </p>`;
}

/** What went wrong, and what helps. */
export function Problem({ problem, onRetry }) {
  if (!problem || problem.status === 401) return null;
  return html`<div class="problem" id="problem" role="alert"><p><strong>${problem.message}</strong>${problem.fix && html`<span class="fix">${problem.fix}</span>`}</p>
    ${problem.status !== 400 && html`<button type="button" class="button small" onClick=${onRetry}><${Icon} name="refresh" />Try again</button>`}</div>`;
}

/** What stands where no lines are. */
export function Empty({ state, utc, go }) {
  const [nearest, setNearest] = useState(undefined);
  const isLimited = state.range !== "all";
  // To find out by itself must not cost what only somebody who wants it should ask for.
  const isCostly = terms(state.q).some((term) => term.quote === "/");
  useEffect(() => {
    const asking = new AbortController();
    setNearest(undefined);
    if (isLimited && !isCostly) {
      const asked = conditions(state);
      asked.set("limit", 1);
      ask(`/api/search?${asked}`, asking.signal).then((found) => setNearest(found.hits[0] ?? null), () => {});
    }
    return () => asking.abort();
  }, [format(state)]);
  const asksAnything = format({ ...state, range: "24h", from: "", to: "", live: false, columns: [], id: "" }) !== "/";
  if ((!isLimited || nearest === null) && !asksAnything) {
    return html`<div class="empty"><h2>No lines yet</h2><p>As soon as a log shipper sends lines to this store, they stand here.</p></div>`;
  }
  return html`<div class="empty"><h2>No lines match</h2>
    ${!isLimited || nearest === null ? html`<p>None in all that is kept. Fewer words, or other fields?</p>` : html`<p>None in this time.</p>`}
    ${nearest && html`<p>The newest that fits is of ${fullTime(milliseconds(nearest.time), utc)}, ${duration(Math.max(1, (Date.now() - milliseconds(nearest.time)) / 1000))} ago.</p>`}
    ${isLimited && (nearest || isCostly) && html`<button type="button" class="primary" onClick=${() => go({ range: "all", from: "", to: "" })}>Search all time</button>`}
    ${asksAnything && html`<button type="button" class="button" onClick=${() => go({ q: "", app: [], env: [], host: [], container: [], stream: [], level: [] })}>Clear the conditions</button>`}
  </div>`;
}

/** What stands below the last line. */
export function Foot({ session, state, utc, go, onRetry }) {
  const { lines, phase, problem, more, searched } = session;
  if (problem && lines.count) return html`<div class="foot"><${Problem} problem=${problem} onRetry=${onRetry} /></div>`;
  if (!lines.count) return searched && phase === "idle" && !problem ? html`<${Empty} state=${state} utc=${utc} go=${go} />` : null;
  let text = "";
  if (phase === "older") text = "Looking further back…";
  else if (session.full) text = `${lineCount(lines.count)} are loaded. Narrow the time to see older ones.`;
  else if (!more) text = state.range === "all" ? "This is the oldest line that is kept and fits." : "This is the oldest line in this time.";
  return html`<div class="foot note">${text}</div>`;
}
