// The help: the query language and the keys.

import { html, useEffect, useRef } from "../view.js";
import { Icon } from "./icons.js";

const LANGUAGE = [
  ["timeout order", "both words, in any case, anywhere in the line"],
  ["conn*", "words that begin so"],
  ['"connection reset"', "a phrase"],
  ["-health", "not this; also before a phrase, a field, an expression"],
  ["app:shop", "a field: app, env, host, container, stream, level, or any other that lines have"],
  ["user.name:ann", "a field within a field"],
  ["app:shop app:cart", "one of several values"],
  ["/time(out|d out)/", "a regular expression of Python's, in the case it is written"],
];

export const KEYS = [
  ["/", "to the search box"],
  ["j k", "to the next line, to the one before"],
  ["g G", "to the newest, to the oldest line loaded"],
  ["enter o", "details of the line"],
  ["c", "the line in its context"],
  ["y", "copy the line"],
  ["f", "open or close a trace; F all of them"],
  ["w", "wrap long lines, or not"],
  ["t", "time range"],
  ["l", "live, or not"],
  ["b", "show or hide the fields"],
  ["esc", "leave what is open"],
  ["?", "this help"],
];

/** The dialog. */
export function Help({ onClose }) {
  const dialog = useRef(null);
  useEffect(() => dialog.current.showModal(), []);
  return html`<dialog class="help" ref=${dialog} aria-labelledby="help-title" onClose=${onClose} onCancel=${(event) => { event.preventDefault(); onClose(); }}>
    <header><h2 id="help-title">Help</h2><button type="button" class="plain icon-only" aria-label="Close" title="Close (esc)" onClick=${onClose}><${Icon} name="close" /></button></header>
    <div class="help-body" tabindex="0" role="region" aria-label="Help">
      <section><h3>Searching</h3><dl>${LANGUAGE.map(([what, means]) => html`<dt><code>${what}</code></dt><dd>${means}</dd>`)}</dl></section>
      <section><h3>Keys</h3><dl>${KEYS.map(([keys, means]) => html`<dt>${keys.split(" ").map((key) => html`<kbd>${key}</kbd> `)}</dt><dd>${means}</dd>`)}</dl></section>
    </div>
  </dialog>`;
}
