// All that a line has: each field with conditions on it, and what can be done with the line.

import { canFilter, fieldsOf } from "../pure/fields.js";
import { prettyJson } from "../pure/text.js";
import { fullTime, milliseconds, zoneName } from "../pure/times.js";
import { html } from "../view.js";
import { Icon } from "./icons.js";
import { Text } from "./message.js";

const AROUND_MS = 60_000;

function Field({ field, hit, columns, act }) {
  const filters = canFilter(field);
  const isColumn = columns.includes(field.name);
  const what = `${field.name} ${field.value.slice(0, 60)}`;
  return html`<tr>
    <th scope="row" dir="auto">${field.name}</th>
    <td class="field-value" dir="auto"><${Text} text=${field.value} /></td>
    <td class="field-acts">
      ${filters && html`<button type="button" class="plain small" aria-label="Only this: ${what}" onClick=${() => act.only(field.name, field.value)}><${Icon} name="plus" />only this</button>
      <button type="button" class="plain small" aria-label="Not this: ${what}" onClick=${() => act.not(field.name, field.value)}><${Icon} name="minus" />not this</button>`}
      ${field.name === "time" && html`<button type="button" class="plain small" onClick=${() => act.around(milliseconds(hit.time), AROUND_MS)}><${Icon} name="clock" />± 1 minute</button>`}
      ${!["id", "time", "level"].includes(field.name) && html`<button type="button" class="plain small" aria-pressed=${isColumn} aria-label="${field.name} as a column" onClick=${() => act.column(field.name)}><${Icon} name="columns" />column</button>`}
    </td>
  </tr>`;
}

/** The panel below a line. */
export function Details({ entry, utc, columns, act, inContext }) {
  const hit = entry.lines[0];
  const pretty = prettyJson(hit.message);
  const at = milliseconds(hit.time);
  return html`<div class="details">
    <div class="details-acts">
      ${!inContext && html`<button type="button" class="button small" onClick=${() => act.context(hit)}><${Icon} name="context" />Context</button>`}
      <button type="button" class="button small" onClick=${() => act.copyLine(entry)}><${Icon} name="copy" />Copy line</button>
      <button type="button" class="button small" onClick=${() => act.copyLink(hit)}><${Icon} name="link" />Copy link</button>
      <button type="button" class="button small" onClick=${() => act.copyJson(hit)}><${Icon} name="copy" />Copy JSON</button>
      <span class="note">${fullTime(at, false)} ${zoneName(false, at)}${utc ? "" : `, ${fullTime(at, true)} UTC`}</span>
    </div>
    ${pretty && html`<pre class="pretty" dir="auto" tabindex="0" role="region" aria-label="The message, set out"><${Text} text=${pretty} /></pre>`}
    <table><caption class="unseen">Fields of this line</caption><tbody>${fieldsOf(hit).map((field) => html`<${Field} key=${field.name} field=${field} hit=${hit} columns=${columns} act=${act} />`)}</tbody></table>
  </div>`;
}
