// The span of time: quick ones that stay relative, and absolute ones in the zone that is shown.

import { QUICK, rangeName } from "../pure/ranges.js";
import { fieldMoment, fieldText, spanText, zoneName } from "../pure/times.js";
import { html, useEffect, useState } from "../view.js";
import { Popup } from "./popup.js";

/** What the button says of a state's span. */
export function rangeText(state, utc) {
  return state.range ? rangeName(state.range) : spanText(state.from, state.to, utc);
}

/** The button and its panel; `go` takes the changes of the state. */
export function TimeRange({ state, utc, span, open, onOpen, go, onZone }) {
  const [from, setFrom] = useState("");
  const [to, setTo] = useState("");
  const [wrong, setWrong] = useState("");
  useEffect(() => {
    setFrom(fieldText(state.from || span.from, utc));
    setTo(fieldText(state.to, utc));
    setWrong("");
  }, [state.from, state.to, state.range, utc, open]);
  const quick = (range) => {
    onOpen(false);
    go({ range, from: "", to: "" });
  };
  const apply = (event) => {
    event.preventDefault();
    const [first, last] = [fieldMoment(from, utc), fieldMoment(to, utc)];
    if (!first && !last) setWrong("Give at least one of the two.");
    else if (first && last && first >= last) setWrong("The end is not after the beginning.");
    else {
      onOpen(false);
      go({ range: "", from: first, to: last, live: false });
    }
  };
  const zone = zoneName(utc, Date.parse(state.from) || Date.now());
  return html`<${Popup} name="range" label="Time range" icon="clock" text=${html`<span class="range-text">${rangeText(state, utc)}</span>${!state.range && html`<span class="zone">${zone}</span>`}`} open=${open} onOpen=${onOpen}>
    <div class="quick" role="group" aria-label="Quick ranges">
      ${QUICK.map(([range, name]) => html`<button type="button" key=${range} class="choice" data-first=${state.range === range || undefined} aria-pressed=${state.range === range} onClick=${() => quick(range)}>${range === "all" ? name : `Last ${name}`}</button>`)}
    </div>
    <form class="absolute" onSubmit=${apply}>
      <label>From <input type="datetime-local" step="1" value=${from} onInput=${(event) => setFrom(event.target.value)} /></label>
      <label>To <input type="datetime-local" step="1" value=${to} onInput=${(event) => setTo(event.target.value)} /></label>
      <p class="note">Empty is open. Times are in ${zone}. <button type="button" class="textual" onClick=${onZone}>Use ${utc ? "local time" : "UTC"}</button></p>
      ${wrong && html`<p class="wrong" role="alert">${wrong}</p>`}
      <button type="submit" class="primary">Apply</button>
    </form>
  <//>`;
}
