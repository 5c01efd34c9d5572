// Names that others have chosen, times, and states: shown harmlessly, and in a few characters.

import { fullTime, milliseconds, zoneName } from "../../pure/times.js";
import { visible } from "../../pure/text.js";
import { age } from "../pure/ages.js";
import { html } from "../../view.js";

const MOST = 160;

/** A text that is never more than a text, and never longer than one can read. */
export function short(text) {
  const shown = visible(text.slice(0, MOST));
  return text.length > MOST ? `${shown}…` : shown;
}

/** A name; `text` in place of the whole where less of it does. */
export function Name({ of, text = of, kind = "" }) {
  return html`<bdi class=${`name ${kind}`} title=${short(of)}>${short(text)}</bdi>`;
}

/** A link within the page: the state that it leads to is its address as well. */
export function To({ href, go, to, kind = "", label, children }) {
  const clicked = (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    go(to);
  };
  return html`<a class=${kind} href=${href} aria-label=${label} onClick=${clicked}>${children}</a>`;
}

/** How long ago something was. */
export function Ago({ iso, now, utc, what = "" }) {
  const at = milliseconds(iso);
  if (Number.isNaN(at)) return html`<span class="none">–</span>`;
  return html`<time datetime=${iso} title=${`${what}${fullTime(at, utc)} ${zoneName(utc, at)}`}>${age((now - at) / 1000)}</time>`;
}

const GOOD = new Set(["up", "healthy", "done", "succeeded"]);
const BAD = new Set(["unhealthy", "failed", "lapsed", "rolled back", "down"]);
const CALM = new Set(["drained", "unknown"]);
const GOING = new Set(["running", "waiting", "sending"]);

/** How a state is coloured. */
export function gradeOfState(state) {
  if (GOOD.has(state)) return "good";
  if (BAD.has(state)) return "error";
  if (GOING.has(state)) return "going";
  return CALM.has(state) ? "note" : "warn";
}

/** A word on a ground of its own. */
export function Badge({ grade, text, title }) {
  return html`<bdi class=${`badge ${grade}`} title=${title}>${short(text)}</bdi>`;
}

/** A state as a word. */
export function State({ state, count }) {
  return html`<${Badge} grade=${gradeOfState(state)} text=${count === undefined ? state : `${count.toLocaleString("en")} ${state}`} />`;
}
