// The search box: the query, and below it what it could be: saved, recent, fields, their values.

import { quote } from "../pure/query.js";
import { FACETS } from "../pure/url.js";
import { recent, saved } from "../work/stored.js";
import { html, useEffect, useRef, useState } from "../view.js";
import { Icon } from "./icons.js";

const MAX_SUGGESTIONS = 12;

/** What could be meant by a text that ends at the cursor. */
export function suggestions(text, fields) {
  const word = /\S*$/.exec(text)[0];
  const before = text.slice(0, text.length - word.length);
  const field = /^(-?)([a-z]+):(.*)$/.exec(word);
  if (field && FACETS.includes(field[2])) {
    const [, sign, name, begun] = field;
    const values = Object.entries(fields[name] ?? {}).filter(([value]) => value.startsWith(begun) && value !== begun);
    return values.sort((a, b) => (b[1] ?? 0) - (a[1] ?? 0)).map(([value]) => ({
      kind: name,
      show: value,
      query: `${before}${sign}${name}:${quote(value)} `,
    }));
  }
  const names = word
    ? FACETS.filter((name) => name.startsWith(word.replace(/^-/, "")) && word !== "-").map((name) => ({
        kind: "field",
        show: `${name}:`,
        query: `${before}${word.startsWith("-") ? "-" : ""}${name}:`,
        open: true,
      }))
    : [];
  const like = text.trim().toLowerCase();
  const fits = (one) => one.toLowerCase().includes(like) && one !== text.trim();
  const kept = saved().filter((one) => fits(one.name)).map((one) => ({ kind: "saved", show: one.name, address: one.address }));
  const last = recent().filter(fits).map((query) => ({ kind: "recent", show: query, query }));
  return [...names, ...kept, ...last];
}

/** The box. `onSearch` takes a query, `onAddress` the address of a saved search. */
export function SearchBox({ query, fields, problem, onSearch, onAddress, input }) {
  const [text, setText] = useState(query);
  const [shown, setShown] = useState(false);
  const [active, setActive] = useState(-1);
  const form = useRef(null);
  useEffect(() => setText(query), [query]);
  const found = shown ? suggestions(text, fields).slice(0, MAX_SUGGESTIONS) : [];
  const search = (wanted) => {
    setShown(false);
    setActive(-1);
    onSearch(wanted.trim());
  };
  const pick = (one) => {
    if (one.address) {
      setShown(false);
      onAddress(one.address);
      return;
    }
    setText(one.query);
    setActive(-1);
    if (!one.open) search(one.query);
    input.current?.focus();
  };
  const pressed = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      setShown(true);
      const count = found.length + 1;
      setActive(((active + 1 + step + count) % count) - 1);
    } else if (event.key === "Escape") {
      event.stopPropagation();
      if (shown && found.length) setShown(false);
      else input.current.blur();
    } else if ((event.key === "Enter" || event.key === "Tab") && found[active]) {
      event.preventDefault();
      pick(found[active]);
    }
  };
  const submitted = (event) => {
    event.preventDefault();
    search(text);
  };
  const left = (event) => {
    if (!form.current.contains(event.relatedTarget)) setShown(false);
  };
  return html`<form class="search" role="search" ref=${form} autocomplete="off" onSubmit=${submitted} onFocusOut=${left}>
    <${Icon} name="search" />
    <input ref=${input} id="q" name="q" type="text" inputmode="search" enterkeyhint="search" spellcheck="false" autocapitalize="off" maxlength="4096"
      role="combobox" aria-label="Search the logs" aria-autocomplete="list" aria-expanded=${found.length > 0} aria-controls="suggestions"
      aria-activedescendant=${found[active] ? `suggestion-${active}` : undefined} aria-invalid=${problem ? "true" : undefined} aria-describedby=${problem ? "problem" : undefined}
      placeholder='words  "a phrase"  -not  app:shop  /regex/' value=${text}
      onInput=${(event) => { setText(event.target.value); setShown(true); setActive(-1); }}
      onClick=${() => setShown(true)} onKeyDown=${pressed} />
    ${text && html`<button type="button" class="plain icon-only" aria-label="Clear the query" title="Clear" onClick=${() => { setText(""); search(""); input.current?.focus(); }}><${Icon} name="close" /></button>`}
    <button type="submit" class="primary">Search</button>
    <ul id="suggestions" role="listbox" aria-label="Suggestions" hidden=${!found.length}>
      ${found.map((one, at) => html`<li id="suggestion-${at}" key=${at} role="option" aria-selected=${at === active} onPointerDown=${(event) => { event.preventDefault(); pick(one); }}>
        <span class="kind">${one.kind}</span><span class="what" dir="auto">${one.show}</span></li>`)}
    </ul>
  </form>`;
}
