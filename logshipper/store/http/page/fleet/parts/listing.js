// What the long lists of all views have in common: rows that open, and the keys that walk them.

import { Scroll } from "../../parts/scroll.js";
import { Rows } from "../pure/rows.js";
import { html, useLayoutEffect, useMemo, useRef, useState } from "../../view.js";

const idOf = (row) => row.id;
export const ESTIMATE = 35;

/**
 * The list of `items`, [{key, ...}]. `show(item, attributes)` makes an element of one, which takes
 * the attributes. `source` names the list: another one begins at its top. `keys.current` gets what
 * the keyboard does with it, `onKey(name, item)` is told of other keys on the chosen row.
 */
export function Listing({ items, show, label, source, forms = [], keys, onKey, onEnd, onTop, foot, busy = false }) {
  const pool = useMemo(() => new Rows(), []);
  const rows = useMemo(() => pool.show(items), [items]);
  const [selected, setSelected] = useState("");
  const scroll = useRef(null);
  const at = pool.get(selected);
  // Two keys may come before the first of them is shown.
  const chosen = useRef("");
  const choose = (key) => setSelected(chosen.current = key);
  const step = (by) => {
    const from = pool.get(chosen.current);
    const next = rows[from ? Math.max(0, Math.min(rows.length - 1, from.at + by)) : 0];
    if (!next) return;
    choose(next.item.key);
    scroll.current.reveal(next);
  };
  const press = (name) => {
    const on = pool.get(chosen.current);
    if (on) onKey?.(name, on.item);
  };
  const end = (last) => {
    choose("");
    scroll.current.jump(last);
  };
  // Before it is painted: who sees the list may use its keys.
  useLayoutEffect(() => {
    keys.current = { step, end, leave: () => choose(""), press };
  });
  useLayoutEffect(() => () => (keys.current = null), []);
  const element = (row, position) => {
    const attributes = {
      role: "listitem",
      "data-id": row.id,
      "aria-posinset": position + 1,
      "aria-setsize": rows.length,
      tabindex: (at ? row === at : position === 0) ? 0 : -1,
    };
    return show(row.item, { key: row.id, attributes, isSelected: row === at, select: () => choose(row.item.key) });
  };
  return html`<${Scroll} ref=${scroll} rows=${rows} source=${source} forms=${forms} estimate=${ESTIMATE} idOf=${idOf} show=${element} label=${label} busy=${busy} onEnd=${onEnd} onTop=${onTop} foot=${foot} />`;
}
