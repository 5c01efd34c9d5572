// The tool bar: how the list looks, what to keep and to take along, who one is.

import { fieldsOf } from "../pure/fields.js";
import { whoami } from "../work/api.js";
import { html, useEffect, useState } from "../view.js";
import { Columns, Download, Saved } from "./menus.js";
import { Account, Theme, Tool, Zone } from "./tool.js";

const SAMPLED_ENTRIES = 50;

/** The switch of the live tail. */
export function Live({ live, onLive }) {
  return html`<button type="button" class="button live" aria-pressed=${live} title="Show lines as they come (l)" onClick=${onLive}><span class="dot" aria-hidden="true"></span>Live</button>`;
}

function columnNames(lines) {
  const names = new Set(["host", "container", "stream"]);
  for (const entry of lines.entries.slice(0, SAMPLED_ENTRIES)) {
    for (const { name } of fieldsOf(entry.lines[0])) names.add(name);
  }
  for (const always of ["id", "time", "level", "app", "env"]) names.delete(always);
  return [...names].slice(0, 30);
}

// The fleet of what is searched for.
function fleetAddress({ app, env, host }) {
  const asked = new URLSearchParams(app.length || env.length || host.length ? { view: "services" } : {});
  for (const [name, values] of Object.entries({ app, env, host })) for (const value of values) asked.append(name, value);
  const text = String(asked);
  return text ? `/fleet?${text}` : "/fleet";
}

/** All tools. */
export function Tools({ state, looks, menu, open, session, total, exact, change, go, goTo, search, onFacets, onFold, allOpen }) {
  const [who, setWho] = useState(null);
  useEffect(() => {
    whoami().then(setWho, () => {});
  }, []);
  return html`<div class="tools" role="toolbar" aria-label="Tools">
    <${Tool} icon="filter" label="Fields (b)" onClick=${onFacets} />
    <${Saved} state=${state} open=${menu === "saved"} onOpen=${open("saved")} onAddress=${goTo} onSearch=${search} />
    <${Columns} columns=${state.columns} known=${columnNames(session.lines)} open=${menu === "columns"} onOpen=${open("columns")} onColumns=${(columns) => go({ columns })} />
    <${Download} state=${state} span=${session.span} total=${total} exact=${exact} open=${menu === "download"} onOpen=${open("download")} />
    <${Tool} icon="wrap" label="Wrap long lines (w)" pressed=${looks.wrap} onClick=${() => change({ wrap: !looks.wrap })} />
    <${Tool} icon=${allOpen ? "fold" : "unfold"} label=${allOpen ? "Fold all traces (F)" : "Unfold all traces (F)"} onClick=${onFold} />
    <${Zone} looks=${looks} change=${change} />
    <${Theme} looks=${looks} change=${change} />
    <${Tool} icon="help" label="Help (?)" onClick=${() => open("help")(true)} />
    ${who?.fleet && html`<a class="button to-fleet" href=${fleetAddress(state)}>Fleet</a>`}
    <${Account} who=${who} />
  </div>`;
}
