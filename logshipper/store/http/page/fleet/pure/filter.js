// Which instances, services and hosts fit what is chosen in the address.

/** The words that must be found and those that must not, in lower case. */
export function wordsOf(q) {
  const words = q.toLowerCase().split(/\s+/).filter(Boolean);
  const not = words.filter((word) => word.length > 1 && word.startsWith("-")).map((word) => word.slice(1));
  return { has: words.filter((word) => word === "-" || !word.startsWith("-")), not };
}

/** Whether a text, in lower case, has the words. */
export function fits(text, { has, not }) {
  return has.every((word) => text.includes(word)) && !not.some((word) => text.includes(word));
}

function textOf(one) {
  // Fifty thousand are looked through at each letter that is typed.
  one.words ||= [
    one.service, one.endpoint, one.host, one.container, one.name, one.image, one.version,
    ...one.tags, one.httpHost + one.httpPath, one.state, one.key,
  ].join("\n").toLowerCase();
  return one.words;
}

const chosen = (values, value) => !values.length || values.includes(value);

/** A choice among instances, which remembers what fitted for as long as a service is the same. */
export class Choice {
  constructor(state) {
    this.state = state;
    this.words = wordsOf(state.q);
    this.isAll = !state.q.trim() && !state.host.length && !state.state.length;
    this.known = new WeakMap();
  }

  /** The instances of a service that fit; empty where the service itself does not. */
  instances(service) {
    const { state } = this;
    if (!chosen(state.app, service.app) || !chosen(state.env, service.env)) return [];
    if (state.risk.length && !state.risk.some((risk) => service.risks.includes(risk))) return [];
    if (this.isAll) return service.all;
    const held = this.known.get(service);
    if (held) return held;
    const found = service.all.filter((one) => this.fits(one));
    const made = found.length === service.all.length ? service.all : found;
    this.known.set(service, made);
    return made;
  }

  fits(one) {
    const { state, words } = this;
    return chosen(state.host, one.host) && chosen(state.state, one.state) && fits(textOf(one), words);
  }

  /** Whether a host fits. */
  host(host) {
    const { state } = this;
    if (!chosen(state.host, host.name)) return false;
    if (state.risk.length && !state.risk.some((risk) => host.troubles.includes(risk))) return false;
    if (!this.words.has.length && !this.words.not.length) return true;
    const daemons = host.daemons.flatMap((one) => [one.name, one.version, one.health, ...one.troubles]);
    const others = [...host.drains, ...host.unregistered].flatMap((one) => [one.name, one.reason ?? one.key]);
    return fits([host.name, host.ip, ...daemons, ...others].join("\n").toLowerCase(), this.words);
  }
}

/** How many instances have each value of a field, all other conditions kept. */
export function valuesOf(services, state, field) {
  const choice = new Choice({ ...state, [field]: [] });
  const counts = new Map(state[field].map((value) => [value, 0]));
  for (const service of services) {
    for (const one of choice.instances(service)) counts.set(one[field], (counts.get(one[field]) ?? 0) + 1);
  }
  return counts;
}

/** How many of the things have each risk. */
export function risksOf(things, names) {
  const counts = new Map(Object.keys(names).map((risk) => [risk, 0]));
  for (const { risks, troubles } of things) {
    for (const risk of risks ?? troubles) counts.set(risk, counts.get(risk) + 1);
  }
  return new Map([...counts].filter(([, count]) => count > 0));
}
