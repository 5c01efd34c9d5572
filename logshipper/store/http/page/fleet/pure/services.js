// Services as they are shown: their instances counted, by host and version, and what is weak in them.

const BAD_RELEASES = new Set(["failed", "rolled back"]);
const collator = new Intl.Collator("en", { numeric: true });
const NONE = [];
const views = new WeakMap(); // by the service as it was told: what has changed is another object
const ordered = new WeakMap();

/** Names in the order of people: box2 before box10. */
export const byName = (a, b) => collator.compare(a, b);

/** What can be weak in a service, gravest first: a short name and what it means. */
export const RISKS = {
  __proto__: null, // addresses name anything
  down: ["down", "no instance is up"],
  out: ["not all up", "some instances are not up"],
  release: ["release failed", "the last release failed or was rolled back"],
  single: ["one instance", "one instance only: when it goes, the service goes"],
  onehost: ["one host", "all instances are on one host: when it goes, the service goes"],
  versions: ["versions differ", "instances run different images or versions"],
  drained: ["drained", "instances are drained"],
};
const WEIGHT = Object.fromEntries(Object.keys(RISKS).map((risk, at) => [risk, at]));

/** How grave a risk is: error, warn or note. */
export function gradeOf(risk) {
  return { down: "error", out: "warn", release: "warn" }[risk] ?? "note";
}

/** All services of a fleet, those too of which all that is left is drained. */
export function servicesOf(fleet) {
  const drains = drainsByService(fleet.hosts);
  const found = [];
  for (const service of fleet.services.values()) {
    const out = drains.get(service.key) ?? NONE;
    if (service.instances.size || out.length) found.push(view(service, out, newest(fleet, service.key)));
    drains.delete(service.key);
  }
  for (const [key, out] of drains) {
    const { app, env } = out[0];
    found.push(summed({ key, app, env, instances: new Map() }, out, newest(fleet, key)));
  }
  return found;
}

function drainsByService(hosts) {
  const found = new Map();
  for (const host of hosts.values()) {
    for (const one of host.drains) {
      const held = found.get(one.service);
      if (held) held.push(one);
      else found.set(one.service, [one]);
    }
  }
  return found;
}

function newest(fleet, key) {
  return fleet.releases.get(key)?.reduce((best, one) => (best && best.at >= one.at ? best : one), null) ?? null;
}

function view(service, drains, release) {
  const held = views.get(service);
  if (held && held.release === release && same(held.drains, drains)) return held;
  const made = summed(service, drains, release);
  views.set(service, made);
  return made;
}

function same(one, other) {
  return one.length === other.length && one.every((item, at) => item === other[at]);
}

function summed(service, drains, release) {
  const hosts = new Map();
  const versions = new Map();
  let up = 0;
  let changed = "";
  for (const one of service.instances.values()) {
    hosts.set(one.host, (hosts.get(one.host) ?? 0) + 1);
    const version = versionOf(one);
    versions.set(version, (versions.get(version) ?? 0) + 1);
    if (one.state === "up") up += 1;
    if (one.since > changed) changed = one.since;
  }
  const made = { ...service, all: [...service.instances.values(), ...drains], drains, release, hosts, versions, up, changed };
  made.out = service.instances.size - up;
  made.risks = risksOf(made);
  made.rank = made.risks.length ? WEIGHT[made.risks[0]] : Object.keys(RISKS).length;
  return made;
}

function risksOf({ up, out, drains, release, hosts, versions }) {
  const found = [];
  if (!up) found.push("down");
  else if (out) found.push("out");
  if (release && BAD_RELEASES.has(release.state)) found.push("release");
  if (up === 1) found.push("single");
  if (up > 1 && hosts.size === 1) found.push("onehost");
  if (versions.size > 1) found.push("versions");
  if (drains.length) found.push("drained");
  return found;
}

/** What an instance runs, in few words: its version, else the tag of its image. */
export function versionOf({ version, image }) {
  return version || tagOf(image) || "unknown";
}

/** The tag of an image, or how its digest begins; empty where there is neither. */
export function tagOf(image) {
  const [name, digest] = image.split("@");
  const tag = /:([^:/]+)$/.exec(name)?.[1] ?? "";
  return tag || (digest ?? "").slice(0, 19);
}

/** The last part of an image's name, with its tag where that is not the version that stands beside. */
export function nameOf(image, version) {
  const last = image.split("@")[0].split("/").at(-1);
  return last.endsWith(`:${version}`) ? last.slice(0, -version.length - 1) : last;
}

/** A count of each in the order of the counts: [[name, count], ...]. */
export function counted(map) {
  return [...map].sort((a, b) => b[1] - a[1] || byName(a[0], b[0]));
}

/** Instances by host, then by endpoint. */
export function inOrder(instances) {
  const held = ordered.get(instances);
  if (held) return held;
  const made = [...instances].sort((a, b) => byName(a.host, b.host) || byName(a.endpoint, b.endpoint));
  ordered.set(instances, made);
  return made;
}

const name = (a, b) => byName(a.key, b.key);
const ORDERS = {
  name,
  risk: (a, b) => a.rank - b.rank || name(a, b),
  instances: (a, b) => b.instances.size - a.instances.size || name(a, b),
  hosts: (a, b) => b.hosts.size - a.hosts.size || name(a, b),
  changed: (a, b) => (a.changed === b.changed ? name(a, b) : a.changed < b.changed ? 1 : -1),
};

/** Services in the order of a view. */
export function sorted(services, sort) {
  return [...services].sort(ORDERS[sort] ?? name);
}
