// The small panels of the tool bar: what to download, which columns, searches to keep.

import { conditions, format } from "../pure/url.js";
import { forget, forgetRecent, recent, save, saved } from "../work/stored.js";
import { html, useState } from "../view.js";
import { Icon } from "./icons.js";
import { Popup } from "./popup.js";

const number = new Intl.NumberFormat("en");

/** Everything that matches, as a file that the browser writes while it comes. */
export function Download({ state, span, total, exact, open, onOpen }) {
  const href = (format, order) => {
    const asked = conditions(state, span);
    asked.set("format", format);
    if (order) asked.set("order", order);
    return `/api/export?${asked}`;
  };
  const count = total === null ? "All lines that match" : `${exact ? "" : "More than "}${number.format(total)} lines that match`;
  const link = (kind, text, order) => html`<li><a class="choice" href=${href(kind, order)} download=${`logs.${kind === "text" ? "txt" : "ndjson"}`} onClick=${() => onOpen(false)}>${text}</a></li>`;
  return html`<${Popup} name="download" label="Download" icon="download" open=${open} onOpen=${onOpen}>
    <p class="note">${count}, not only those shown.</p>
    <ul class="choices">${link("ndjson", "NDJSON, every field, newest first")}${link("ndjson", "NDJSON, every field, oldest first", "oldest")}${link("text", "Text, newest first")}${link("text", "Text, oldest first", "oldest")}</ul>
  <//>`;
}

/** Fields that stand beside the message. */
export function Columns({ columns, known, open, onOpen, onColumns }) {
  const [name, setName] = useState("");
  const names = [...new Set([...columns, ...known])];
  const toggle = (one) => onColumns(columns.includes(one) ? columns.filter((each) => each !== one) : [...columns, one]);
  const add = (event) => {
    event.preventDefault();
    if (name.trim()) onColumns([...new Set([...columns, name.trim()])]);
    setName("");
  };
  return html`<${Popup} name="columns" label="Columns" icon="columns" open=${open} onOpen=${onOpen}>
    <p class="note">Beside time, level, app and message:</p>
    <ul class="choices">${names.map((one) => html`<li key=${one}><label class="choice"><input type="checkbox" checked=${columns.includes(one)} onChange=${() => toggle(one)} /> <span dir="auto">${one}</span></label></li>`)}</ul>
    <form class="inline" onSubmit=${add}><input type="text" aria-label="Another field" placeholder="another field" maxlength="64" value=${name} onInput=${(event) => setName(event.target.value)} /><button type="submit" class="button small">Add</button></form>
  <//>`;
}

/** Saved searches and the last ones. */
export function Saved({ state, open, onOpen, onAddress, onSearch }) {
  const [name, setName] = useState("");
  const [, redraw] = useState(0);
  const change = (work) => {
    work();
    redraw((n) => n + 1);
  };
  const keep = (event) => {
    event.preventDefault();
    change(() => save(name || state.q || "Search", format({ ...state, id: "", live: false })));
    setName("");
  };
  const kept = saved();
  const last = recent();
  return html`<${Popup} name="saved" label="Saved and recent searches" icon="star" open=${open} onOpen=${onOpen}>
    <form class="inline" onSubmit=${keep}><input type="text" aria-label="Name of this search" placeholder=${state.q || "name of this search"} maxlength="80" value=${name} onInput=${(event) => setName(event.target.value)} /><button type="submit" class="primary small">Save</button></form>
    ${kept.length > 0 && html`<h3>Saved</h3><ul class="choices">${kept.map((one) => html`<li key=${one.name} class="with-button"><button type="button" class="choice" dir="auto" onClick=${() => { onOpen(false); onAddress(one.address); }}>${one.name}</button><button type="button" class="plain icon-only" aria-label="Forget ${one.name}" title="Forget" onClick=${() => change(() => forget(one.name))}><${Icon} name="close" /></button></li>`)}</ul>`}
    ${last.length > 0 && html`<h3>Recent</h3><ul class="choices">${last.map((query) => html`<li key=${query}><button type="button" class="choice mono" dir="auto" onClick=${() => { onOpen(false); onSearch(query); }}>${query}</button></li>`)}</ul>
    <button type="button" class="textual small" onClick=${() => change(forgetRecent)}>Forget the recent ones</button>`}
    <p class="note">Kept in this browser alone.</p>
  <//>`;
}
