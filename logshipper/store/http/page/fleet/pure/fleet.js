// The fleet as the store tells of it: all of it once, then what has changed.

const SCALARS = ["revision", "time", "stale", "may_drain"];

const text = (value) => (typeof value === "string" ? value : value === undefined || value === null ? "" : String(value));
const list = (value) => (Array.isArray(value) ? value : []);
// Names may be anything, __proto__ too: what is looked up by them is never a plain object.
const entries = (value) => (value && typeof value === "object" ? Object.entries(value) : []);

/** A fleet of which nothing is known. */
export const UNKNOWN = {
  revision: 0, time: "", stale: null, may_drain: false, rejected: [],
  services: new Map(), hosts: new Map(), releases: new Map(), orders: new Map(),
};

/** The fleet that a whole answer tells of. */
export function whole(told) {
  return merged(UNKNOWN, told);
}

/** A fleet after a change; whatever the change does not name is the same object as before. */
export function merged(fleet, change) {
  const next = { ...fleet };
  for (const name of SCALARS) if (Object.hasOwn(change, name)) next[name] = change[name];
  if (Object.hasOwn(change, "rejected")) next.rejected = list(change.rejected).map(refused);
  next.services = put(fleet.services, change.services, service);
  next.hosts = put(fleet.hosts, change.hosts, host);
  next.releases = put(fleet.releases, change.releases, (told) => list(told).map(release));
  next.orders = put(fleet.orders, change.orders, order);
  return next;
}

function put(held, change, made) {
  const changes = entries(change);
  if (!changes.length) return held;
  const next = new Map(held);
  for (const [key, told] of changes) {
    if (told === null) next.delete(key);
    else next.set(key, made(told, key, held.get(key)));
  }
  return next;
}

/** Application and environment of a service's name; an environment has no `_`. */
export function named(key) {
  const cut = key.lastIndexOf("_");
  return cut < 0 ? { app: key, env: "" } : { app: key.slice(0, cut), env: key.slice(cut + 1) };
}

function service(told, key, held) {
  const names = { ...named(key), ...(held && { app: held.app, env: held.env }) };
  const app = text(told.app) || names.app;
  const env = text(told.env) || names.env;
  const instances = put(held?.instances ?? new Map(), told.instances, (one, endpoint) => instance(one, endpoint, key, app, env));
  return { key, app, env, instances };
}

function instance(told, endpoint, service, app, env) {
  return {
    service, app, env, endpoint,
    key: text(told.key),
    host: text(told.host),
    container: text(told.container),
    name: text(told.name),
    image: text(told.image),
    version: text(told.version),
    weight: told.weight ?? "",
    tags: list(told.tags).map(text),
    httpHost: text(told.http_host),
    httpPath: text(told.http_path),
    since: text(told.started),
    state: text(told.state) || "up",
    words: "", // what it can be found by, once somebody has looked for something
  };
}

function host(told, name) {
  return {
    name,
    ip: text(told.ip),
    drained: told.drained === true,
    daemons: entries(told.daemons).map(([daemon, said]) => ({
      name: daemon,
      version: text(said?.version),
      since: text(said?.since),
      health: text(said?.health) || "unknown",
      troubles: list(said?.troubles).map(text),
      applied: Number.isInteger(said?.applied_revision) ? said.applied_revision : null,
    })),
    drains: list(told.drains).map((one) => drained(one, name)),
    drainsMore: Number(told.drains_more) || 0,
    unregisteredMore: Number(told.unregistered_more) || 0,
    unregistered: list(told.unregistered).map((one) => ({ name: text(one?.name), reason: text(one?.reason) })),
  };
}

// One that is drained has no key in etcd any more: this is all that is known of it.
function drained(told, host) {
  const service = text(told?.service);
  return {
    ...instance({ ...told, host, started: told?.since, state: "drained" }, text(told?.endpoint), service, ...Object.values(named(service))),
    container: "",
  };
}

function release(told) {
  return {
    release: text(told?.release), image: text(told?.image), digest: text(told?.digest),
    state: text(told?.state), at: text(told?.at), by: text(told?.by), why: text(told?.why),
    verb: text(told?.verb),
  };
}

function order(told, id) {
  return {
    id, verb: text(told.verb), target: text(told.target), host: text(told.host), state: text(told.state),
    steps: list(told.steps).map(text), by: text(told.by), at: text(told.at), why: text(told.why),
  };
}

function refused(told) {
  return { key: text(told?.key), reason: text(told?.reason) };
}
