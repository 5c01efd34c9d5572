// The tool bar: how the list looks, what to keep and to take along, who one is.

import { fieldsOf } from "../pure/fields.js";
import { zoneName } from "../pure/times.js";
import { signOut, whoami } from "../work/api.js";
import { html, useEffect, useState } from "../view.js";
import { Icon } from "./icons.js";
import { Columns, Download, Saved } from "./menus.js";

const THEMES = { "": ["half", "light", "Theme: the system's"], light: ["sun", "dark", "Theme: light"], dark: ["moon", "", "Theme: dark"] };
const SAMPLED_ENTRIES = 50;

/** The switch of the live tail. */
export function Live({ live, onLive }) {
  return html`<button type="button" class="button live" aria-pressed=${live} title="Show lines as they come (l)" onClick=${onLive}><span class="dot" aria-hidden="true"></span>Live</button>`;
}

function Tool({ icon, label, pressed, onClick }) {
  return html`<button type="button" class="button icon-only" aria-label=${label} title=${label} aria-pressed=${pressed} onClick=${onClick}><${Icon} name=${icon} /></button>`;
}

function columnNames(lines) {
  const names = new Set(["host", "container", "stream"]);
  for (const entry of lines.entries.slice(0, SAMPLED_ENTRIES)) {
    for (const { name } of fieldsOf(entry.lines[0])) names.add(name);
  }
  for (const always of ["id", "time", "level", "app", "env"]) names.delete(always);
  return [...names].slice(0, 30);
}

/** All tools. */
export function Tools({ state, looks, menu, open, session, total, exact, change, go, goTo, search, onFacets, onFold, allOpen }) {
  const [theme, nextTheme, themeName] = THEMES[looks.theme] ?? THEMES[""];
  return html`<div class="tools" role="toolbar" aria-label="Tools">
    <${Tool} icon="filter" label="Fields (b)" onClick=${onFacets} />
    <${Saved} state=${state} open=${menu === "saved"} onOpen=${open("saved")} onAddress=${goTo} onSearch=${search} />
    <${Columns} columns=${state.columns} known=${columnNames(session.lines)} open=${menu === "columns"} onOpen=${open("columns")} onColumns=${(columns) => go({ columns })} />
    <${Download} state=${state} span=${session.span} total=${total} exact=${exact} open=${menu === "download"} onOpen=${open("download")} />
    <${Tool} icon="wrap" label="Wrap long lines (w)" pressed=${looks.wrap} onClick=${() => change({ wrap: !looks.wrap })} />
    <${Tool} icon=${allOpen ? "fold" : "unfold"} label=${allOpen ? "Fold all traces (F)" : "Unfold all traces (F)"} onClick=${onFold} />
    <button type="button" class="button zone-button" title="Times in local time or UTC" onClick=${() => change({ utc: !looks.utc })}>${looks.utc ? "UTC" : html`<span class="zone-where">Local, </span>${zoneName(false)}`}</button>
    <${Tool} icon=${theme} label=${themeName} onClick=${() => change({ theme: nextTheme })} />
    <${Tool} icon="help" label="Help (?)" onClick=${() => open("help")(true)} />
    <${Account} />
  </div>`;
}

/** Who is signed in, where the store says so. */
export function Account() {
  const [who, setWho] = useState(null);
  useEffect(() => {
    whoami().then(setWho, () => {});
  }, []);
  if (!who?.name || who.name === "anyone") return null;
  const leave = async () => {
    await signOut();
    location.reload();
  };
  return html`<span class="account" title=${`Tenant ${who.tenant}`} dir="auto">${who.name}</span>
    <${Tool} icon="leave" label="Sign out" onClick=${leave} />`;
}
