// What a view shows of all there is: words, values of fields, an order.

import { Icon } from "../../parts/icons.js";
import { Popup } from "../../parts/popup.js";
import { isNarrowed, LISTS, sortsOf, toggled, widened } from "../pure/url.js";
import { byName } from "../pure/services.js";
import { html, useEffect, useRef, useState } from "../../view.js";
import { Name } from "./name.js";

const NO_NAMES = { __proto__: null };
const TYPING_MS = 150;
const SHORT = 8;
const MOST = 300;
const SORT_NAMES = { name: "Name", risk: "Worst first", instances: "Most instances", hosts: "Most hosts", changed: "Newest first" };
const LIST_NAMES = { app: "App", env: "Env", host: "Host", state: "State", risk: "Trouble", daemon: "Daemon", level: "Level" };

/** The field for words; it is in the address a moment after the last letter. */
export function Words({ q, go, label, input }) {
  const [text, setText] = useState(q);
  const timer = useRef(0);
  const said = useRef(q);
  useEffect(() => {
    // What comes back from the address is what was typed, unless somebody went elsewhere.
    if (q !== said.current) setText(q);
    said.current = q;
  }, [q]);
  const say = (value) => {
    clearTimeout(timer.current);
    said.current = value;
    go({ q: value }, { quiet: true });
  };
  const typed = (value) => {
    setText(value);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => say(value), TYPING_MS);
  };
  const submitted = (event) => {
    event.preventDefault();
    say(text);
  };
  return html`<form class="search words" role="search" onSubmit=${submitted}>
    <${Icon} name="search" />
    <input ref=${input} type="text" inputmode="search" enterkeyhint="search" spellcheck="false" autocapitalize="off" autocomplete="off" maxlength="500" aria-label=${label} placeholder="words  -not" value=${text}
      onInput=${(event) => typed(event.target.value)} onKeyDown=${(event) => event.key === "Escape" && (event.stopPropagation(), text ? (setText(""), say("")) : input.current.blur())} />
    ${text && html`<button type="button" class="plain icon-only" aria-label="Clear the words" title="Clear" onClick=${() => { setText(""); say(""); input.current?.focus(); }}><${Icon} name="close" /></button>`}
  </form>`;
}

/** A field's values to choose from; `values` gives a Map of counts when it is open. */
export function Field({ field, state, go, values, open, onOpen, names = NO_NAMES }) {
  return html`<${Popup} name=${`field-${field}`} label=${`Choose by ${LIST_NAMES[field].toLowerCase()}`} text=${html`${LIST_NAMES[field]}${state[field].length > 0 && html` <span class="badge chosen">${state[field].length}</span>`}`} open=${open} onOpen=${onOpen} side="left">
    <${Values} field=${field} state=${state} go=${go} values=${values} names=${names} />
  <//>`;
}

function Values({ field, state, go, values, names }) {
  const [sought, setSought] = useState("");
  const like = sought.toLowerCase();
  const all = [...values()].sort((a, b) => b[1] - a[1] || byName(a[0], b[0]));
  const fitting = all.filter(([value]) => value.toLowerCase().includes(like));
  return html`
    ${all.length > SHORT && html`<input type="search" class="facet-search" aria-label=${`Find a value of ${field}`} placeholder=${`find ${field}`} value=${sought} onInput=${(event) => setSought(event.target.value)} />`}
    <ul class="choices values">${fitting.slice(0, MOST).map(([value, count]) => html`<li key=${value}><label class="choice"><input type="checkbox" checked=${state[field].includes(value)} onChange=${() => go(toggled(state, field, value))} />
      <${Name} of=${value} text=${names[value]?.[0] ?? value} />${count !== null && html`<span class="count">${count.toLocaleString("en")}</span>`}</label></li>`)}</ul>
    ${!fitting.length && html`<p class="note">No such value</p>`}
    ${fitting.length > MOST && html`<p class="note">The first ${MOST} of ${fitting.length}: find others by a part of them.</p>`}`;
}

/** The order of a view's rows. */
export function Sort({ state, go }) {
  const sorts = sortsOf(state.view);
  return html`<label class="sort">Sort <select value=${state.sort} onChange=${(event) => go({ sort: event.target.value })}>${sorts.map((sort) => html`<option key=${sort} value=${sort} selected=${sort === state.sort}>${SORT_NAMES[sort]}</option>`)}</select></label>`;
}

/** What was chosen, each with its way out. */
export function Chosen({ state, go, names = NO_NAMES }) {
  const chosen = LISTS.flatMap((field) => state[field].map((value) => ({ field, value })));
  if (!chosen.length) return null;
  return html`<ul class="chips" aria-label="Conditions">
    ${chosen.map(({ field, value }) => html`<li key=${`${field}:${value}`}><button type="button" class="chip" title="Remove" onClick=${() => go(toggled(state, field, value))}><span class="unseen">Remove ${" "}</span><span class="chip-name">${LIST_NAMES[field].toLowerCase()}</span>${" "}<${Name} of=${value} text=${names[value]?.[0] ?? value} kind="chip-value" /><${Icon} name="close" /></button></li>`)}
    ${isNarrowed(state) && html`<li><button type="button" class="textual small" onClick=${() => go(widened())}>Clear all</button></li>`}
  </ul>`;
}

/** What stands where no row fits. */
export function None({ state, go, what, why }) {
  return html`<div class="empty"><h2>${isNarrowed(state) ? `No ${what} match` : `No ${what}`}</h2>
    ${isNarrowed(state) ? html`<button type="button" class="button" onClick=${() => go(widened())}>Clear the conditions</button>` : html`<p>${why}</p>`}</div>`;
}
