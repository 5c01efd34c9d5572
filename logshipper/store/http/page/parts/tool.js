// Tools that every page has: its theme, its zone of time, who one is.

import { zoneName } from "../pure/times.js";
import { signOut } from "../work/api.js";
import { html } from "../view.js";
import { Icon } from "./icons.js";

const THEMES = { "": ["half", "light", "Theme: the system's"], light: ["sun", "dark", "Theme: light"], dark: ["moon", "", "Theme: dark"] };

/** A button of a tool bar. */
export function Tool({ icon, label, pressed, onClick }) {
  return html`<button type="button" class="button icon-only" aria-label=${label} title=${label} aria-pressed=${pressed} onClick=${onClick}><${Icon} name=${icon} /></button>`;
}

/** The themes, in turn. */
export function Theme({ looks, change }) {
  const [icon, next, label] = THEMES[looks.theme] ?? THEMES[""];
  return html`<${Tool} icon=${icon} label=${label} onClick=${() => change({ theme: next })} />`;
}

/** Local time or UTC. */
export function Zone({ looks, change }) {
  return html`<button type="button" class="button zone-button" title="Times in local time or UTC" onClick=${() => change({ utc: !looks.utc })}>${looks.utc ? "UTC" : html`<span class="zone-where">Local, </span>${zoneName(false)}`}</button>`;
}

/** Who is signed in, where the store says so. */
export function Account({ who }) {
  if (!who?.name || who.name === "anyone") return null;
  const leave = async () => {
    await signOut();
    location.reload();
  };
  return html`<span class="account" title=${`Tenant ${who.tenant}`} dir="auto">${who.name}</span>
    <${Tool} icon="leave" label="Sign out" onClick=${leave} />`;
}
