// A service in a row, and an instance of it in another.

import { Icon } from "../../parts/icons.js";
import { counted, gradeOf, nameOf, RISKS, versionOf } from "../pure/services.js";
import { format, fresh, logs, logsOf } from "../pure/url.js";
import { Component, html } from "../../view.js";
import { Ago, Badge, Name, short, State, To } from "./name.js";

const HOSTS = 3;
const TAGS = 6;
const ID_CHARACTERS = 12;

// Rows are many and change seldom: what a row is made of are the same objects until it does.
class Kept extends Component {
  shouldComponentUpdate(next) {
    const { props } = this;
    if (["role", "data-id", "aria-posinset", "aria-setsize", "tabindex"].some((name) => next.attributes[name] !== props.attributes[name])) return true;
    return this.constructor.names.some((name) => next[name] !== props[name]);
  }

  /** Whoever clicks on a row itself means it; buttons and links do what they say. */
  clicked(event, work) {
    if (event.target.closest("button, a, input, label") || !getSelection().isCollapsed) return;
    this.props.select();
    work?.();
  }
}

function Hosts({ hosts }) {
  const all = counted(hosts);
  const title = all.slice(0, 40).map(([name, count]) => `${short(name)}: ${count}`).join("\n");
  return html`<span class="c-hosts" data-label="Hosts" title=${title}>${all.slice(0, HOSTS).map(([name, count]) => html`<span class="pair"><${Name} of=${name} /><span class="count"> ×${count}</span></span>`)}${all.length > HOSTS && html`<span class="note">+${all.length - HOSTS}</span>`}</span>`;
}

function Versions({ versions }) {
  const all = counted(versions);
  return html`<span class="c-version" data-label="Version">${all.slice(0, 2).map(([name, count]) => html`<span class="pair"><${Name} of=${name} kind="mono" />${all.length > 1 && html`<span class="count"> ×${count}</span>`}</span>`)}${all.length > 2 && html`<span class="note">+${all.length - 2}</span>`}</span>`;
}

function States({ service, instances }) {
  const counts = new Map();
  for (const one of service.all) counts.set(one.state, (counts.get(one.state) ?? 0) + 1);
  return html`<span class="c-state" data-label="Instances">${counted(counts).map(([state, count]) => html`<${State} key=${state} state=${state} count=${count} />`)}${!service.instances.size && html`<${Badge} grade="error" text="none up" />`}${instances.length < service.all.length && html`<span class="note">${instances.length} match</span>`}</span>`;
}

/** A service. */
export class ServiceRow extends Kept {
  static names = ["service", "instances", "isOpen", "isSelected", "now", "utc"];

  render({ attributes, service, instances, isOpen, isSelected, toggle, go, now, utc }) {
    const { key, app, env, release, risks } = service;
    const worst = risks.length ? gradeOf(risks[0]) : "good";
    const to = fresh("releases", { app: [app], env: [env], open: [key] });
    const flip = () => toggle(key);
    return html`<div ...${attributes} class=${`entry service grade-${worst}${isSelected ? " selected" : ""}`} onClick=${(event) => this.clicked(event, flip)}>
      <div class="cells">
        <button type="button" class="plain icon-only open" aria-expanded=${isOpen} aria-label=${`Instances of ${short(key)}`} onClick=${flip}><${Icon} name="chevron" /></button>
        <span class="c-name"><${Name} of=${app} kind="strong" /> <${Name} of=${env} kind="env" /></span>
        <${States} service=${service} instances=${instances} />
        <${Hosts} hosts=${service.hosts} />
        <${Versions} versions=${service.versions} />
        <span class="c-release" data-label="Last release">${release ? html`<${To} href=${format(to)} go=${go} to=${to}><${Name} of=${release.release} /><//> <${State} state=${release.state} />` : html`<span class="none">–</span>`}</span>
        <span class="c-since" data-label="Newest"><${Ago} iso=${service.changed} now=${now} utc=${utc} what="The newest instance was started " /></span>
        <span class="c-risks">${risks.map((risk) => html`<${Badge} key=${risk} grade=${gradeOf(risk)} text=${RISKS[risk][0]} title=${RISKS[risk][1]} />`)}</span>
        <span class="acts"><a class="button small" href=${logs({ app, env })} aria-label=${`Logs of ${short(key)}`}><${Icon} name="logs" />Logs</a></span>
      </div>
    </div>`;
  }
}

function Image({ one }) {
  if (!one.image && !one.version) return html`<span class="c-version"><span class="none">–</span></span>`;
  const version = versionOf(one);
  return html`<span class="c-version" data-label="Image" title=${short(one.image)}><${Name} of=${version} kind="mono" />${one.image && html` <${Name} of=${one.image} text=${nameOf(one.image, version)} kind="faint" />`}</span>`;
}

function Details({ one }) {
  const { weight, tags, httpHost, httpPath } = one;
  return html`<span class="c-details">${weight !== "" && weight !== 1 && html`<span class="pair">weight ${short(String(weight))}</span>`}${tags.slice(0, TAGS).map((tag) => html`<${Name} of=${tag} kind="tag" />`)}${tags.length > TAGS && html`<span class="note">+${tags.length - TAGS}</span>`}${(httpHost || httpPath) && html`<${Name} of=${httpHost + httpPath} kind="vhost" />`}</span>`;
}

/** An instance. */
export class InstanceRow extends Kept {
  static names = ["one", "isSelected", "mayDrain", "now", "utc"];

  render({ attributes, one, isSelected, ask, go, mayDrain, now, utc }) {
    const drained = one.state === "drained";
    const verb = drained ? "undrain" : "drain";
    const to = fresh("hosts", { host: [one.host], open: [one.host] });
    const what = `${short(one.endpoint)} of ${short(one.service)}`;
    return html`<div ...${attributes} class=${`entry instance${isSelected ? " selected" : ""}${drained ? " is-drained" : ""}`} onClick=${(event) => this.clicked(event)}>
      <div class="cells">
        <span class="c-state"><${State} state=${one.state} /></span>
        <${Name} of=${one.endpoint} kind="c-endpoint mono" />
        <span class="c-host" data-label="Host"><${To} href=${format(to)} go=${go} to=${to}><${Name} of=${one.host} /><//></span>
        <span class="c-container" data-label="Container"><${Name} of=${one.name || "–"} />${one.container && html` <${Name} of=${one.container} text=${one.container.slice(0, ID_CHARACTERS)} kind="mono faint" />`}</span>
        <${Image} one=${one} />
        <${Details} one=${one} />
        <span class="c-since" data-label="Since"><${Ago} iso=${one.since} now=${now} utc=${utc} what=${drained ? "Drained since " : "Since "} /></span>
        <span class="acts">
          <a class="button small" href=${logs(logsOf(one))} aria-label=${`Logs of ${what}`}><${Icon} name="logs" />Logs</a>
          ${mayDrain && one.key && html`<button type="button" class="button small" aria-label=${`${drained ? "Undrain" : "Drain"} ${what}`} onClick=${() => ask(verb, one)}><${Icon} name=${drained ? "back" : "out"} />${drained ? "Undrain" : "Drain"}</button>`}
        </span>
      </div>
    </div>`;
  }
}
