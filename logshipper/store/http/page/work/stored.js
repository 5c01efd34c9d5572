// What this browser remembers, bounded: recent and saved searches, and how the page looks.

const RECENT = "wharfinger.recent";
const SAVED = "wharfinger.saved";
const LOOKS = "wharfinger.looks";
const MAX_RECENT = 20;
const MAX_SAVED = 50;
const MAX_CHARACTERS = 2000;

function read(name, otherwise) {
  try {
    const value = JSON.parse(localStorage.getItem(name));
    return value && typeof value === typeof otherwise ? value : otherwise;
  } catch {
    // Private windows, full disks, somebody else's value: the page works without.
    return otherwise;
  }
}

function write(name, value) {
  try {
    localStorage.setItem(name, JSON.stringify(value));
  } catch {
    // The same.
  }
}

/** The last queries, newest first. */
export function recent() {
  const held = read(RECENT, []);
  return Array.isArray(held) ? held.filter((one) => typeof one === "string") : [];
}

/** Remembers a query. */
export function remember(query) {
  const text = query.trim();
  if (!text || text.length > MAX_CHARACTERS) return;
  write(RECENT, [text, ...recent().filter((one) => one !== text)].slice(0, MAX_RECENT));
}

/** Saved searches: a name, and the address of each. */
export function saved() {
  const held = read(SAVED, []);
  const whole = (one) =>
    typeof one?.name === "string" && typeof one.address === "string" && one.address.startsWith("/");
  return Array.isArray(held) ? held.filter(whole) : [];
}

/** Saves a search under a name; one of that name is replaced. */
export function save(name, address) {
  const text = name.trim().slice(0, 80);
  if (!text || address.length > 2 * MAX_CHARACTERS) return;
  const others = saved().filter((one) => one.name !== text);
  write(SAVED, [{ name: text, address }, ...others].slice(0, MAX_SAVED));
}

/** Forgets a saved search. */
export function forget(name) {
  write(SAVED, saved().filter((one) => one.name !== name));
}

/** Forgets the last queries. */
export function forgetRecent() {
  write(RECENT, []);
}

const USUAL = { theme: "", utc: false, wrap: true, facets: true };

/** How the page looks: theme (empty: the system's), utc, wrap, facets. */
export function looks() {
  const held = read(LOOKS, {});
  const known = Object.entries(USUAL).map(([name, usual]) => [
    name,
    typeof held[name] === typeof usual ? held[name] : usual,
  ]);
  return Object.fromEntries(known);
}

/** Remembers a change of it. */
export function setLooks(changes) {
  const next = { ...looks(), ...changes };
  write(LOOKS, next);
  return next;
}
