// Hosts as they are shown: their daemons, what they hold, what is wrong with them.

import { byName } from "./services.js";

/** What can be wrong with a host, gravest first: a short name and what it means. */
export const TROUBLES = {
  __proto__: null, // addresses name anything
  silent: ["no registrar", "instances are registered, but no registrar is heard from"],
  unhealthy: ["unhealthy", "a daemon is unhealthy"],
  behind: ["behind", "its Nginx serves an older state than others do"],
  unregistered: ["not registered", "containers ask for registration and are not registered"],
  version: ["other version", "a daemon runs another version than most do"],
  drained: ["drained", "the host, or instances on it, are drained"],
};
const GRADES = { silent: "error", unhealthy: "error", behind: "warn", unregistered: "warn" };
const NAMES = Object.keys(TROUBLES);

/** How grave a trouble is: error, warn or note. */
export function gradeOf(trouble) {
  return GRADES[trouble] ?? "note";
}

/** Instances on each host: {up, out, services}. */
export function heldByHosts(services) {
  const found = new Map();
  for (const service of services) {
    for (const name of service.hosts.keys()) {
      const held = found.get(name) ?? { up: 0, out: 0, services: 0 };
      held.services += 1;
      found.set(name, held);
    }
    for (const one of service.instances.values()) found.get(one.host)[one.state === "up" ? "up" : "out"] += 1;
  }
  return found;
}

/** The version that most daemons of a kind run, by kind. */
export function usualVersions(hosts) {
  const counts = new Map();
  for (const { daemons } of hosts) {
    for (const { name, version } of daemons) {
      const held = counts.get(name) ?? new Map();
      if (version) held.set(version, (held.get(version) ?? 0) + 1);
      counts.set(name, held);
    }
  }
  const most = (held) => [...held].sort((a, b) => b[1] - a[1] || byName(b[0], a[0]))[0]?.[0] ?? "";
  return new Map([...counts].map(([name, held]) => [name, most(held)]));
}

/**
 * By how many revisions each discovery is behind the one that is ahead, and since when (ms).
 *
 * A revision that one of them serves is one that all have to: it moves with instances' keys alone.
 */
export function lags(hosts, before, now) {
  const applied = new Map();
  for (const { name, daemons } of hosts) {
    for (const daemon of daemons) if (daemon.applied !== null) applied.set(name, daemon.applied);
  }
  const ahead = Math.max(0, ...applied.values());
  const found = new Map();
  for (const [name, at] of applied) {
    if (at < ahead) found.set(name, { by: ahead - at, since: before.get(name)?.since ?? now });
  }
  return found;
}

// A change is on its way for a moment on each host: only what lasts is a trouble.
const LASTING_MS = 10_000;

/** All hosts, those too that only instances name. */
export function hostsOf(fleet, services, behind, now) {
  const held = heldByHosts(services);
  const told = [...fleet.hosts.values()];
  const unknown = [...held.keys()].filter((name) => !fleet.hosts.has(name));
  const bare = { ip: "", drained: false, daemons: [], drains: [], unregistered: [], drainsMore: 0, unregisteredMore: 0 };
  const usual = usualVersions(told);
  return [...told, ...unknown.map((name) => ({ ...bare, name }))].map((host) => {
    const counts = held.get(host.name) ?? { up: 0, out: 0, services: 0 };
    const lag = behind.get(host.name) ?? null;
    const late = lag !== null && now - lag.since >= LASTING_MS;
    const made = { ...host, ...counts, lag, late, usual, told: fleet.hosts.get(host.name) ?? null };
    made.troubles = troublesOf(made);
    made.rank = made.troubles.length ? NAMES.indexOf(made.troubles[0]) : NAMES.length;
    return made;
  });
}

function troublesOf({ daemons, up, out, late, unregistered, drained, drains, usual }) {
  const found = [];
  if (up + out > 0 && !daemons.some(({ name }) => name === "registrar")) found.push("silent");
  if (daemons.some(({ health }) => health !== "healthy")) found.push("unhealthy");
  if (late) found.push("behind");
  if (unregistered.length) found.push("unregistered");
  if (daemons.some(({ name, version }) => version && version !== usual.get(name))) found.push("version");
  if (drained || drains.length) found.push("drained");
  return found;
}

const name = (a, b) => byName(a.name, b.name);
const ORDERS = {
  name,
  risk: (a, b) => a.rank - b.rank || name(a, b),
  instances: (a, b) => b.up + b.out - (a.up + a.out) || name(a, b),
};

/** Hosts in the order of a view. */
export function sorted(hosts, sort) {
  return [...hosts].sort(ORDERS[sort] ?? name);
}
