// The fleet page: its state is the address, its parts are shown from it.

import { useKeys } from "../../parts/keys.js";
import { Icon } from "../../parts/icons.js";
import { useRedraw } from "../../parts/redraw.js";
import { SignIn } from "../../parts/signin.js";
import { Account, Theme, Tool, Zone } from "../../parts/tool.js";
import { whoami } from "../../work/api.js";
import { looks as storedLooks, setLooks } from "../../work/stored.js";
import { isEnded, subject } from "../pure/consequences.js";
import { findings, totals, wrong } from "../pure/findings.js";
import { hostsOf } from "../pure/hosts.js";
import { servicesOf } from "../pure/services.js";
import { fresh, logs, logsOf, title, VIEWS } from "../pure/url.js";
import { Follow } from "../work/follow.js";
import { html, useEffect, useMemo, useRef, useState } from "../../view.js";
import { useAddress } from "./address.js";
import { Events } from "./events.js";
import { Help } from "./help.js";
import { Hosts } from "./hosts.js";
import { short } from "./name.js";
import { Confirm, Orders, Progress } from "./orders.js";
import { Overview } from "./overview.js";
import { Releases } from "./releases.js";
import { Services } from "./services.js";
import { Link, Stale, Tabs, TITLES, Totals } from "./top.js";

const COARSE_MS = 10_000;
const SAID_MS = 6_000;
const PARTS = { services: Services, hosts: Hosts, events: Events, releases: Releases };
const MAY_LOOK = "You see the fleet already. To drain takes a token for orders.";
const MAY_NOT = "The fleet is shown to those with a token that may read.";

/** All that is shown, worked out anew when the fleet has changed, and for ages now and then. */
function useModel(follow, coarse) {
  const { fleet, lags } = follow;
  const services = useMemo(() => servicesOf(fleet), [fleet]);
  return useMemo(() => {
    const hosts = hostsOf(fleet, services, lags, coarse);
    const found = findings(fleet, services, hosts);
    return { fleet, services, hosts, found, sums: totals(fleet, services, hosts), wrong: wrong(found) };
  }, [services, lags, coarse]);
}

export function App() {
  const redraw = useRedraw();
  const [state, go] = useAddress();
  const [looks, setLook] = useState(storedLooks);
  const [menu, setMenu] = useState("");
  const [wish, setWish] = useState(null);
  const [who, setWho] = useState(null);
  const [said, setSaid] = useState("");
  const [signing, setSigning] = useState(false);
  const input = useRef(null);
  const keys = useRef(null);
  const mine = useRef(new Set());
  const hoped = useRef(false); // somebody has just signed in to drain
  const follow = useMemo(() => new Follow(redraw), []);
  const now = Date.now();
  const coarse = now - (now % COARSE_MS);
  // Times in the fleet are the store's.
  const [then, coarseThen] = [now + follow.skewMs, coarse + follow.skewMs];
  const model = useModel(follow, coarse);
  const { fleet, isLive, isKnown, problem } = follow;
  const change = (changes) => setLook(setLooks(changes));
  const open = (name) => (wanted) => setMenu(wanted ? name : "");
  const mayDrain = fleet.may_drain === true;
  const ask = (name, what) => {
    if (name === "logs") location.assign(logs(logsOf(what)));
    else if (mayDrain && (what.endpoint === undefined || what.key)) setWish({ verb: what.state === "drained" ? "undrain" : name, target: what });
  };

  useEffect(() => {
    document.title = title(state, model.wrong, isLive);
  });
  useEffect(() => {
    whoami().then(setWho, () => {});
  }, [isKnown, mayDrain]);
  useEffect(() => {
    document.documentElement.dataset.theme = looks.theme;
  }, [looks.theme]);
  useEffect(() => {
    for (const id of mine.current) {
      const order = fleet.orders.get(id);
      if (order && isEnded(order) && mine.current.delete(id) && state.order !== id) setSaid(`${order.verb} ${short(subject(order))}: ${order.state}`);
    }
  }, [fleet.orders]);
  useEffect(() => {
    if (!hoped.current || follow.link !== "live") return;
    hoped.current = false;
    if (!mayDrain) setSaid("This token may not drain");
  }, [follow.link, fleet]);
  useEffect(() => {
    const timer = said && setTimeout(() => setSaid(""), SAID_MS);
    return () => clearTimeout(timer);
  }, [said]);

  const press = (name) => () => keys.current?.press(name);
  const step = (by) => () => keys.current?.step(by);
  const leave = () => (menu ? setMenu("") : keys.current?.leave());
  useKeys({
    ...Object.fromEntries(VIEWS.map((view, at) => [String(at + 1), () => go(fresh(view))])),
    "/": () => input.current?.select(),
    j: step(1), k: step(-1), ArrowDown: step(1), ArrowUp: step(-1),
    g: () => keys.current?.end(false), G: () => keys.current?.end(true),
    Enter: press("open"), o: press("open"), l: press("logs"), d: press("drain"),
    "?": () => setMenu("help"), Escape: leave,
  });

  const again = () => {
    hoped.current = signing && isKnown;
    setSigning(false);
    follow.open();
  };
  if (signing || problem?.status === 401) return html`<${SignIn} title="Fleet" why=${isKnown ? MAY_LOOK : MAY_NOT} onSignedIn=${again} onCancel=${isKnown && (() => setSigning(false))} />`;
  const View = PARTS[state.view];
  const shared = { model, state, go, menu, open, input, keys, ask, mayDrain, now: coarseThen, utc: looks.utc };
  return html`
    <a class="skip" href="#view">To the view</a>
    <header class="top fleet-top">
      <h1>Fleet</h1>
      <${Tabs} state=${state} go=${go} wrong=${model.wrong} />
      <${Link} follow=${follow} now=${now} utc=${looks.utc} />
      <div class="tools" role="toolbar" aria-label="Tools">
        <${Orders} fleet=${fleet} open=${menu === "orders"} onOpen=${open("orders")} go=${go} now=${then} utc=${looks.utc} />
        <a class="button" href=${logs({ app: state.app, env: state.env, host: state.host })}><${Icon} name="logs" />Logs</a>
        <${Zone} looks=${looks} change=${change} />
        <${Theme} looks=${looks} change=${change} />
        <${Tool} icon="help" label="Help (?)" onClick=${() => setMenu("help")} />
        ${isKnown && !mayDrain && html`<${Tool} icon="key" label="Sign in with a token that may drain" onClick=${() => setSigning(true)} />`}
        <${Account} who=${who} />
      </div>
    </header>
    <${Stale} follow=${follow} now=${now} utc=${looks.utc} onRetry=${() => follow.open()} />
    ${isKnown && html`<${Totals} sums=${model.sums} go=${go} />`}
    <main id="view" tabindex="-1" class=${isLive || !isKnown ? "view" : "view not-live"}>
      ${follow.link === "refused" && html`<div class="problem" role="alert"><p><strong>${problem.message}</strong>${problem.fix && html`<span class="fix">${problem.fix}</span>`}</p>
        ${problem.status === 403 && html`<button type="button" class="button small" onClick=${() => setSigning(true)}>Sign in</button>`}<button type="button" class="button small" onClick=${again}><${Icon} name="refresh" />Try again</button></div>`}
      <h2 class="unseen">${TITLES[state.view]}</h2>
      ${isKnown ? (View ? html`<${View} key=${state.view} ...${shared} redraw=${redraw} onRefused=${() => setSigning(true)} />` : html`<${Overview} found=${model.found} fleet=${fleet} go=${go} isLive=${isLive} now=${then} utc=${looks.utc} />`) : follow.link !== "refused" && html`<p class="empty" role="status">Looking at the fleet…</p>`}
    </main>
    ${wish && html`<${Confirm} wish=${wish} services=${model.services} fleet=${fleet} isLive=${isLive} onClose=${() => setWish(null)} onGiven=${(id) => { mine.current.add(id); setWish(null); go({ order: id }); }} />`}
    ${state.order && !wish && html`<${Progress} key=${state.order} id=${state.order} fleet=${fleet} isLive=${isLive} onClose=${() => go({ order: "" })} now=${then} utc=${looks.utc} />`}
    ${menu === "help" && html`<${Help} onClose=${() => setMenu("")} />`}
    <div class="said" role="status">${said && html`<span>${said}</span>`}</div>`;
}
