// A line among those of its container, before and after it; also what a link to a line shows.

import { lineTime } from "../pure/times.js";
import { ask } from "../work/api.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "../view.js";
import { Icon } from "./icons.js";
import { Row } from "./row.js";

const AT_FIRST = 10;
const MORE = 20;
const MOST = 2000;

function entryOf(hit, known) {
  const held = known.get(hit.id);
  if (held) return held;
  const made = { key: hit.id, lines: [hit], open: false, full: false, details: false, revision: 0 };
  known.set(hit.id, made);
  return made;
}

/** The dialog for the line `id`; `act` is the list's, for what its rows can do. */
export function Context({ id, marks, utc, wrap, columns, act, onClose, onRefused }) {
  const dialog = useRef(null);
  const body = useRef(null);
  const known = useRef(new Map());
  const [reach, setReach] = useState({ before: AT_FIRST, after: AT_FIRST });
  const [found, setFound] = useState(null);
  const [problem, setProblem] = useState(null);
  const [selected, setSelected] = useState(null);
  const [, redraw] = useState(0);
  const grown = useRef(0);
  useEffect(() => dialog.current.showModal(), []);
  useEffect(() => {
    known.current = new Map();
    grown.known = false;
    setFound(null);
    setReach({ before: AT_FIRST, after: AT_FIRST });
  }, [id]);
  useEffect(() => {
    const asking = new AbortController();
    const asked = new URLSearchParams({ id, before: reach.before, after: reach.after });
    setProblem(null);
    ask(`/api/context?${asked}`, asking.signal).then(setFound, (error) => {
      if (error.name === "AbortError") return;
      setProblem(error);
      onRefused(error);
    });
    return () => asking.abort();
  }, [id, reach]);
  const hitId = found?.hit.id;
  useLayoutEffect(() => {
    if (!found) return;
    const current = body.current.querySelector(".current");
    // Lines that come above push the rest down; those below do not.
    if (grown.current) body.current.scrollTop += body.current.scrollHeight - grown.current;
    else if (!grown.known) {
      current?.scrollIntoView({ block: "center" });
      current?.focus({ preventScroll: true });
    }
    grown.known = true;
    grown.current = 0;
  }, [found]);
  const more = (side) => {
    grown.current = side === "before" ? body.current.scrollHeight : 0;
    setReach({ ...reach, [side]: Math.min(MOST, reach[side] + MORE) });
  };
  const touch = (change) => (entry) => {
    change(entry);
    entry.revision += 1;
    redraw((n) => n + 1);
  };
  const here = {
    ...act,
    select: setSelected,
    details: touch((entry) => (entry.details = !entry.details)),
    full: touch((entry) => (entry.full = !entry.full)),
    fold: touch((entry) => (entry.open = !entry.open)),
  };
  const entries = found ? [...found.before, found.hit, ...found.after].map((hit) => entryOf(hit, known.current)) : [];
  const hit = found?.hit;
  const grid = `1.25rem 18.5ch 5.5ch minmax(0, 1fr)`;
  const edge = (side, word, lines) => found && html`<div class="context-edge">${lines.length < reach[side]
    ? html`<span class="note">${side === "before" ? "This is where its lines begin" : "No newer line"}</span>`
    : html`<button type="button" class="button small" disabled=${reach[side] >= MOST} onClick=${() => more(side)}>${MORE} more ${word}</button>`}</div>`;
  return html`<dialog class="context" ref=${dialog} aria-labelledby="context-title" onClose=${onClose} onCancel=${(event) => { event.preventDefault(); onClose(); }}>
    <header><h2 id="context-title">In its context</h2>
      <span class="note" dir="auto">${hit && [hit.app, hit.env, hit.host, hit.container].filter(Boolean).join(" / ")}${hit && ` at ${lineTime(hit.time, utc)}`}</span>
      ${hit && html`<button type="button" class="button small" onClick=${() => act.copyLink(hit)}><${Icon} name="link" />Copy link</button>`}
      <button type="button" class="plain icon-only" aria-label="Close" title="Close (esc)" onClick=${onClose}><${Icon} name="close" /></button></header>
    <div class=${`context-body${wrap ? "" : " nowrap"}`} ref=${body} tabindex="0" role="region" aria-label="Lines of this container">
      ${problem && html`<p class="problem" role="alert"><strong>${problem.message}</strong> ${problem.fix}</p>`}
      ${!found && !problem && html`<p class="note" role="status">Looking for the line…</p>`}
      ${edge("before", "above", found?.before ?? [])}
      <div class="rows" role="list" aria-label="Lines, oldest first" style=${{ "--grid": grid }}>
        ${entries.map((entry) => html`<${Row} key=${entry.key} entry=${entry} revision=${entry.revision} selected=${entry === selected} current=${entry.lines[0].id === hitId} focusable=${entry.lines[0].id === hitId} marks=${marks} utc=${utc} columns=${columns} wrap=${wrap} act=${here} inContext=${true} />`)}
      </div>
      ${edge("after", "below", found?.after ?? [])}
    </div>
  </dialog>`;
}
