// The fields beside the list: each value with its lines; taken in, left out, several at once.

import { included, LEVELS, toggled, toggledOut } from "../pure/fields.js";
import { excluded } from "../pure/query.js";
import { html, useState } from "../view.js";
import { Icon } from "./icons.js";

const SHOWN = ["level", "app", "env", "host", "container", "stream"];
const SHORT = 8;
const LONG = 300;
const CONTAINER_CHARACTERS = 12;
const compact = new Intl.NumberFormat("en", { notation: "compact" });

/** All fields. */
export function Facets({ state, fields, problem, go, onClose }) {
  return html`<aside class="facets" id="facets" aria-label="Fields">
    <div class="facets-head"><h2>Fields</h2>
      <button type="button" class="plain icon-only facets-close" aria-label="Hide the fields" title="Hide the fields" onClick=${onClose}><${Icon} name="close" /></button></div>
    ${problem && problem.status !== 401 && html`<p class="note">${problem.message}</p>`}
    ${SHOWN.map((name) => html`<${Facet} key=${name} name=${name} state=${state} values=${fields[name] ?? {}} go=${go} />`)}
  </aside>`;
}

/** The values of a field in the order they are shown: by lines, levels by their weight. */
export function ordered(name, values, also) {
  const all = { ...Object.fromEntries(also.map((value) => [value, null])), ...values };
  const rows = Object.entries(all).map(([value, count]) => ({ value, count }));
  if (name === "level") return rows.sort((a, b) => LEVELS.indexOf(a.value) - LEVELS.indexOf(b.value));
  return rows.sort((a, b) => (b.count ?? 0) - (a.count ?? 0) || (a.value < b.value ? -1 : 1));
}

function Facet({ name, state, values, go }) {
  const [closed, setClosed] = useState(false);
  const [whole, setWhole] = useState(false);
  const [sought, setSought] = useState("");
  const inside = included(state, name);
  const outside = excluded(state.q, name);
  const rows = ordered(name, values, [...inside, ...outside]);
  // One stream tells nothing that is worth its place.
  if (!rows.length || (name === "stream" && rows.length < 2 && !inside.length)) return null;
  const fitting = sought ? rows.filter(({ value }) => value.toLowerCase().includes(sought.toLowerCase())) : rows;
  const kept = fitting.filter(({ value }, at) => at < (whole || sought ? LONG : SHORT) || inside.includes(value) || outside.includes(value));
  const most = Math.max(1, ...rows.map(({ count }) => count ?? 0));
  const chosen = inside.length + outside.length;
  const clear = () => {
    let next = state;
    for (const value of inside) next = { ...next, ...toggled(next, name, value) };
    for (const value of outside) next = { ...next, ...toggledOut(next, name, value) };
    go({ q: next.q, [name]: next[name] });
  };
  return html`<section class="facet facet-${name}">
    <h3><button type="button" class="plain facet-name" aria-expanded=${!closed} onClick=${() => setClosed(!closed)}><${Icon} name="chevron" />${name}</button>
      ${chosen > 0 && html`<button type="button" class="textual small" aria-label="Clear the choice of ${name}" onClick=${clear}>clear</button>`}</h3>
    ${!closed && html`
      ${rows.length > SHORT && html`<input class="facet-search" type="search" aria-label="Find a value of ${name}" placeholder="find ${name}" value=${sought} onInput=${(event) => setSought(event.target.value)} onKeyDown=${(event) => event.key === "Escape" && (event.stopPropagation(), setSought(""))} />`}
      <ul>${kept.map(({ value, count }) => html`<${Value} key=${value} name=${name} value=${value} count=${count} share=${(count ?? 0) / most} inside=${inside.includes(value)} outside=${outside.includes(value)} state=${state} go=${go} />`)}</ul>
      ${!fitting.length && html`<p class="note">No such value</p>`}
      ${fitting.length > kept.length && !whole && html`<button type="button" class="textual small" onClick=${() => setWhole(true)}>${fitting.length - kept.length} more</button>`}
      ${whole && fitting.length > SHORT && !sought && html`<button type="button" class="textual small" onClick=${() => setWhole(false)}>fewer</button>`}`}
  </section>`;
}

function Value({ name, value, count, share, inside, outside, state, go }) {
  const shown = name === "container" && /^[0-9a-f]{12,}$/.test(value) ? value.slice(0, CONTAINER_CHARACTERS) : value;
  return html`<li class=${`value${outside ? " out" : ""}`} style=${{ "--share": share.toFixed(3) }}>
    <label title=${value}><input type="checkbox" checked=${inside} onChange=${() => go(toggled(state, name, value))} />
      <span class="value-name" dir="auto">${name === "level" && html`<span class="swatch bar-${value}"></span>`}${shown}</span>
      <span class="count">${count === null || count === undefined ? "" : compact.format(count)}</span></label>
    <button type="button" class="plain icon-only exclude" aria-pressed=${outside} aria-label="Leave out ${name} ${value}" title=${outside ? "Left out" : "Leave out"} onClick=${() => go(toggledOut(state, name, value))}><${Icon} name="minus" /></button>
  </li>`;
}
