// The conditions that stand beside the query, each with its way out.

import { FACETS } from "../pure/url.js";
import { html } from "../view.js";
import { Icon } from "./icons.js";

/** One for each value that was chosen. */
export function Chips({ state, go }) {
  const chosen = FACETS.flatMap((name) => state[name].map((value) => ({ name, value })));
  if (!chosen.length) return null;
  const without = (name, value) => go({ [name]: state[name].filter((one) => one !== value) });
  const none = Object.fromEntries(FACETS.map((name) => [name, []]));
  return html`<ul class="chips" aria-label="Conditions">
    ${chosen.map(({ name, value }) => html`<li key=${`${name}:${value}`}><button type="button" class="chip" title="Remove" onClick=${() => without(name, value)}><span class="unseen">Remove ${" "}</span><span class="chip-name">${name}</span>${" "}<span class="chip-value" dir="auto">${value}</span><${Icon} name="close" /></button></li>`)}
    ${chosen.length > 1 && html`<li><button type="button" class="textual small" onClick=${() => go(none)}>Clear all</button></li>`}
  </ul>`;
}
