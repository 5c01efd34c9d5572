// What can be done with a line of the list.

import { only, toggledOut } from "../pure/fields.js";
import { entryText } from "../pure/lines.js";
import { format, parse } from "../pure/url.js";
import { copy } from "../work/clipboard.js";

/** The actions; `page` gives the state at the moment of the click. */
export function actions({ page, go, touched, select, tell }) {
  const change = (name) => (entry) => {
    entry[name] = !entry[name];
    touched(entry);
  };
  const copied = async (text, what) => {
    const worked = await copy(text);
    tell(worked ? `${what} copied` : "The browser does not let this page copy");
  };
  return {
    select,
    details: change("details"),
    full: change("full"),
    fold: change("open"),
    context: (hit) => go({ id: hit.id }),
    only: (name, value) => go({ ...only(page(), name, value), id: "" }),
    not: (name, value) => go({ ...toggledOut(page(), name, value), id: "" }),
    around: (at, reach) => {
      const [from, to] = [at - reach, at + reach].map((ms) => new Date(ms).toISOString());
      go({ range: "", from, to, live: false, id: "" });
    },
    column: (name) => {
      const { columns } = page();
      go({ columns: columns.includes(name) ? columns.filter((one) => one !== name) : [...columns, name] });
    },
    copyLine: (entry) => copied(entryText(entry), entry.lines.length > 1 ? "Lines" : "Line"),
    copyJson: (hit) => copied(JSON.stringify(hit, null, 2), "JSON"),
    copyLink: (hit) => copied(location.origin + format({ ...parse(""), id: hit.id }), "Link"),
  };
}
