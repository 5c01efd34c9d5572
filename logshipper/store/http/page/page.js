// The page: its whole state is the URL; what comes from logs is only ever set as text.

const KEPT_LINES = 2000;
const PAGE_LINES = 100;
const FIRST_FIELDS = new Set(["id", "time", "message", "app", "host"]);
const FIELDS = ["q", "app", "env", "host", "container", "level", "from", "to"];

const byId = (id) => document.getElementById(id);
const form = byId("search");
const lines = byId("lines");
const more = byId("more");
const tailButton = byId("tail");

let asked = null; // the request under way
let tail = null; // the open live tail
let oldest = ""; // id of the last line shown
let arrived = null; // lines of the tail that came while a search was under way
const shown = new Set();

function state() {
  return new URLSearchParams(location.search);
}

function question(extra = {}) {
  const given = state();
  const asking = new URLSearchParams();
  for (const name of FIELDS) {
    for (const value of given.getAll(name)) if (value) asking.append(name, value);
  }
  for (const [name, value] of Object.entries(extra)) asking.set(name, value);
  return asking;
}

function say(text, isError = false) {
  const status = byId("status");
  status.textContent = text;
  status.classList.toggle("error", isError);
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function details(hit) {
  const list = element("dl");
  for (const [name, value] of Object.entries(hit)) {
    if (FIRST_FIELDS.has(name)) continue;
    list.append(element("dt", "", name));
    list.append(element("dd", "", typeof value === "string" ? value : JSON.stringify(value)));
  }
  return list;
}

function row(hit) {
  const item = element("li", /^[a-z]+$/.test(hit.level ?? "") ? hit.level : "");
  const time = element("time", "", hit.time.replace("T", " ").slice(0, 23));
  time.dateTime = hit.time;
  const from = element("span", "from", [hit.app, hit.host].filter(Boolean).join(" "));
  from.title = [hit.app, hit.env, hit.host, hit.container].filter(Boolean).join(" / ");
  const message = element("span", "message", hit.message);
  item.append(time, from, message);
  time.addEventListener("click", () => {
    const open = item.querySelector("dl");
    if (open) open.remove();
    else item.append(details(hit));
  });
  return item;
}

function add(hits, { above }) {
  const fresh = hits.filter((hit) => !shown.has(hit.id));
  for (const hit of fresh) shown.add(hit.id);
  const rows = fresh.map(row);
  if (!above) {
    lines.append(...rows);
    return;
  }
  // Whoever reads further down must not lose the place.
  const reading = window.scrollY > 0;
  const before = document.documentElement.scrollHeight;
  lines.prepend(...rows.reverse());
  if (reading) window.scrollBy(0, document.documentElement.scrollHeight - before);
  else while (lines.children.length > KEPT_LINES) lines.lastElementChild.remove();
}

// What was committed while a search ran may be missing in its answer.
function addArrived() {
  const late = arrived ?? [];
  arrived = null;
  add(late, { above: true });
}

async function fetchJson(path, signal) {
  const response = await fetch(path, { signal, headers: { Accept: "application/json" } });
  const body = await response.json().catch(() => ({ error: `HTTP ${response.status}` }));
  if (!response.ok) throw new Error([body.error, body.fix].filter(Boolean).join(": "));
  return body;
}

async function search({ older = false } = {}) {
  asked?.abort();
  asked = new AbortController();
  const { signal } = asked;
  arrived = older ? null : [];
  say(older ? "Looking further back…" : "Searching…");
  const began = performance.now();
  try {
    const extra = { limit: PAGE_LINES, ...(older && oldest ? { before: oldest } : {}) };
    const found = await fetchJson(`/api/search?${question(extra)}`, signal);
    if (!older) {
      lines.replaceChildren();
      shown.clear();
      oldest = "";
    }
    add(found.hits, { above: false });
    addArrived();
    oldest = found.hits.at(-1)?.id ?? oldest;
    more.hidden = !found.more;
    const count = lines.children.length;
    const took = Math.round(performance.now() - began);
    say(count ? `${count} lines${found.more ? ", there are more" : ""} (${took} ms)` : "Nothing found. Fewer words, or another time?");
  } catch (error) {
    if (error.name === "AbortError") return;
    more.hidden = true;
    addArrived();
    say(error.message, true);
  }
}

function follow() {
  tail?.close();
  tail = null;
  const wanted = state().get("live") === "1";
  tailButton.setAttribute("aria-pressed", String(wanted));
  if (!wanted) return;
  tail = new EventSource(`/api/tail?${question()}`);
  tail.addEventListener("message", (event) => {
    const hit = JSON.parse(event.data);
    if (arrived) arrived.push(hit);
    else {
      add([hit], { above: true });
      say(`${lines.children.length} lines, following`);
    }
  });
  tail.addEventListener("dropped", (event) => say(`${event.data} lines came too fast to show`, true));
  tail.addEventListener("open", () => search());
  tail.addEventListener("error", () => {
    // Closed: refused for good, and the search is told why.
    if (tail.readyState === EventSource.CLOSED) search();
    else say("The live tail is interrupted; trying again…", true);
  });
}

async function fillApps() {
  try {
    const fields = await fetchJson("/api/fields");
    const chosen = state().get("app") ?? "";
    const names = new Set([...Object.keys(fields.app), ...(chosen ? [chosen] : [])]);
    const options = [...names].sort().map((name) => {
      const option = element("option", "", name);
      option.value = name;
      return option;
    });
    byId("app").replaceChildren(byId("app").firstElementChild, ...options);
    byId("app").value = chosen;
  } catch {
    // The search says what is wrong.
  }
}

function go(changes) {
  const next = state();
  for (const [name, value] of Object.entries(changes)) {
    if (value) next.set(name, value);
    else next.delete(name);
  }
  if (String(next) !== String(state())) history.pushState(null, "", `/?${next}`);
  show();
}

function show() {
  const given = state();
  for (const name of ["q", "app", "level"]) byId(name).value = given.get(name) ?? "";
  document.title = given.get("q") ? `${given.get("q")} · Logs` : "Logs";
  follow();
  if (!tail) search();
}

function submitted() {
  return { q: byId("q").value.trim(), app: byId("app").value, level: byId("level").value };
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  go(submitted());
});
byId("app").addEventListener("change", () => go(submitted()));
byId("level").addEventListener("change", () => go(submitted()));
tailButton.addEventListener("click", () => go({ ...submitted(), live: tail ? "" : "1" }));
more.addEventListener("click", () => search({ older: true }));
window.addEventListener("popstate", show);
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement === document.body) {
    event.preventDefault();
    byId("q").focus();
  }
});

fillApps().then(show);
