// The page: its state is the address, its parts are shown from it.

import { marks } from "../pure/query.js";
import { format, parse, question, title } from "../pure/url.js";
import { Counts } from "../work/counts.js";
import { Session } from "../work/session.js";
import { looks as storedLooks, remember, setLooks } from "../work/stored.js";
import { html, useEffect, useMemo, useRef, useState } from "../view.js";
import { actions } from "./actions.js";
import { Chips } from "./chips.js";
import { Context } from "./context.js";
import { Facets } from "./facets.js";
import { Help } from "./help.js";
import { Histogram, totals } from "./histogram.js";
import { useKeys } from "./keys.js";
import { isMarking, List } from "./list.js";
import { useRedraw } from "./redraw.js";
import { SearchBox } from "./searchbox.js";
import { SignIn } from "./signin.js";
import { Elapsed, Foot, lineCount, Problem, Status } from "./status.js";
import { TimeRange } from "./timerange.js";
import { Live, Tools } from "./tools.js";

const LIVE_COUNTS_MS = 10_000;
const NARROW = "(max-width: 900px)";
const LIVE_RANGE = "1h";
const NONE = {};

/** The state of the address, and a way to change it. */
function useAddress() {
  const [state, setState] = useState(() => parse(location.search));
  const latest = useRef(state);
  latest.current = state;
  useEffect(() => {
    const moved = () => setState(parse(location.search));
    addEventListener("popstate", moved);
    return () => removeEventListener("popstate", moved);
  }, []);
  const go = useRef((changes) => {
    const next = { ...latest.current, ...changes };
    if (next.live && !next.range) Object.assign(next, { range: LIVE_RANGE, from: "", to: "" });
    const address = format(next);
    const inner = Boolean(next.id) && !latest.current.id;
    if (address !== location.pathname + location.search) history.pushState({ inner }, "", address);
    latest.current = next;
    setState(next);
  }).current;
  return [state, go, latest];
}

export function App() {
  const redraw = useRedraw();
  const [state, go, latest] = useAddress();
  const [looks, setLook] = useState(storedLooks);
  const [menu, setMenu] = useState("");
  const [drawer, setDrawer] = useState(false);
  const [selected, setSelected] = useState(null);
  const [said, setSaid] = useState("");
  const [asked, setAsked] = useState(0);
  const input = useRef(null);
  const list = useRef(null);
  const reading = useRef({ atTop: true, selected: null });
  reading.current.selected = selected;
  const session = useMemo(() => new Session(redraw, () => isReading(reading.current)), []);
  const counts = useMemo(() => new Counts(redraw), []);
  const change = (changes) => setLook(setLooks(changes));
  const open = (name) => (wanted) => setMenu(wanted ? name : "");
  const tell = (text) => setSaid(text);
  const touched = (entry) => {
    entry.revision += 1;
    entry.height = 0;
    redraw();
  };
  const act = useMemo(() => actions({ page: () => latest.current, go, touched, select: setSelected, tell }), []);
  const counted = question(state);
  const searched = `${counted} ${state.live}`;
  const found = useMemo(() => marks(state.q), [state.q]);
  const again = () => setAsked((n) => n + 1);

  useEffect(() => {
    document.title = title(state);
  }, [searched]);
  useEffect(() => {
    setSelected(null);
    session.show(state);
  }, [searched, asked]);
  useEffect(() => {
    counts.show(state, bars());
  }, [counted, asked]);
  useEffect(() => (state.live ? keepCounting(counts, latest) : undefined), [state.live]);
  useEffect(() => {
    if (!said) return undefined;
    const timer = setTimeout(() => setSaid(""), 3000);
    return () => clearTimeout(timer);
  }, [said]);
  useEffect(() => {
    if (selected === null) session.resume();
  }, [selected]);
  useEffect(() => {
    document.documentElement.dataset.theme = looks.theme;
  }, [looks.theme]);

  const { entries } = session.lines;
  const move = (step) => {
    const at = selected && entries[selected.at] === selected ? selected.at + step : 0;
    const next = entries[Math.max(0, Math.min(entries.length - 1, at))];
    if (!next) return;
    setSelected(next);
    list.current?.reveal(next);
  };
  const end = (last) => {
    setSelected(null);
    list.current?.jump(last);
  };
  const foldAll = () => {
    session.lines.setAllOpen(!session.lines.allOpen);
    redraw();
  };
  const toggleFacets = () => (matchMedia(NARROW).matches ? setDrawer(!drawer) : change({ facets: !looks.facets }));
  const leave = () => {
    if (menu) setMenu("");
    else if (drawer) setDrawer(false);
    else if (selected?.details) act.details(selected);
    else setSelected(null);
  };
  const toggleWrap = () => change({ wrap: !looks.wrap });
  const toggleLive = () => go({ live: !state.live });
  const withSelected = (work) => () => selected && work(selected);
  useKeys({
    "/": () => input.current?.select(),
    j: () => move(1), k: () => move(-1), ArrowDown: () => move(1), ArrowUp: () => move(-1),
    g: () => end(false), G: () => end(true),
    Enter: withSelected(act.details), o: withSelected(act.details),
    c: withSelected((entry) => act.context(entry.lines[0])), y: withSelected(act.copyLine),
    f: withSelected((entry) => entry.lines.length > 1 && act.fold(entry)), F: foldAll,
    w: toggleWrap, t: () => setMenu(menu === "range" ? "" : "range"), l: toggleLive, b: toggleFacets,
    "?": () => setMenu("help"), Escape: leave,
  });

  if (session.problem?.status === 401) return html`<${SignIn} onSignedIn=${again} />`;
  const search = (q) => {
    remember(q);
    if (q === state.q) again();
    else go({ q });
  };
  const goTo = (address) => go({ ...parse(address.replace(/^[^?]*/, "")), id: "" });
  const sums = counts.histogram && counts.of === counted ? Object.values(totals(counts.histogram)).reduce((a, b) => a + b, 0) : null;
  const exact = counts.histogram?.exact ?? true;
  // The store says once what is wrong with a query.
  const refused = session.problem?.status === 400;
  const theme = looks.theme || "system";
  const showArrived = () => {
    setSelected(null);
    reading.current.selected = null;
    list.current?.jump(false);
    reading.current.atTop = true;
    session.showArrived();
  };
  const closeContext = () => (history.state?.inner ? history.back() : go({ id: "" }));
  return html`
    <a class="skip" href="#lines">To the lines</a>
    <header class="top">
      <h1 class="unseen">Logs</h1>
      <${SearchBox} query=${state.q} fields=${counts.fields} problem=${refused} onSearch=${search} onAddress=${goTo} input=${input} />
      <div class="top-acts">
        <${TimeRange} state=${state} utc=${looks.utc} span=${session.span} open=${menu === "range"} onOpen=${open("range")} go=${go} onZone=${() => change({ utc: !looks.utc })} />
        <${Live} live=${state.live} onLive=${toggleLive} />
      </div>
    </header>
    <div class=${`body${looks.facets ? "" : " no-facets"}${drawer ? " drawer" : ""}`}>
      <${Facets} state=${state} fields=${counts.fields} problem=${refused ? null : counts.fieldsProblem} go=${go} onClose=${toggleFacets} />
      <main id="lines" tabindex="-1">
        <${Histogram} histogram=${counts.histogram} levels=${counts.fields.level ?? NONE} problem=${counts.problem} hidden=${refused} busy=${counts.busy} state=${state} utc=${looks.utc} theme=${theme} go=${go} />
        <div class="bar">
          <${Tools} state=${state} looks=${looks} menu=${menu} open=${open} session=${session} counts=${counts} total=${sums} exact=${exact} change=${change} go=${go} goTo=${goTo} search=${search} onFacets=${toggleFacets} onFold=${foldAll} allOpen=${session.lines.allOpen} />
          <${Status} session=${session} total=${sums} exact=${exact} />
          ${session.phase === "searching" && html`<${Elapsed} since=${session.began} onCancel=${() => session.cancel()} />`}
          <${Chips} state=${state} go=${go} />
        </div>
        ${session.problem && !session.lines.count && html`<${Problem} problem=${session.problem} onRetry=${again} />`}
        <div class=${`listing${session.phase === "searching" ? " stale" : ""}`}>
          ${(session.arrived.length > 0 || session.overflow) && html`<button type="button" class="arrived" onClick=${showArrived}>${session.overflow ? "Many new lines" : `${lineCount(session.arrived.length).replace(" ", " new ")}`}</button>`}
          <${List} ref=${list} lines=${session.lines} more=${session.more} selected=${selected} marks=${found} utc=${looks.utc} wrap=${looks.wrap} columns=${state.columns} act=${act} busy=${session.phase === "searching"}
            onEnd=${() => session.older()} onTop=${(atTop) => { reading.current.atTop = atTop; if (atTop) session.resume(); }}
            foot=${html`<${Foot} session=${session} state=${state} utc=${looks.utc} go=${go} onRetry=${() => { session.problem = null; session.older(); }} />`} />
        </div>
      </main>
    </div>
    ${state.id && html`<${Context} id=${state.id} marks=${found} utc=${looks.utc} wrap=${looks.wrap} columns=${state.columns} act=${act} onClose=${closeContext} onRefused=${(error) => error.status === 401 && again()} />`}
    ${menu === "help" && html`<${Help} onClose=${() => setMenu("")} />`}
    <div class="said" role="status">${said && html`<span>${said}</span>`}</div>`;
}

// Who has scrolled away, chosen a line or marked text must not lose the place.
function isReading({ atTop, selected }) {
  return !atTop || selected !== null || isMarking();
}

// So many bars that each can be hit with a mouse.
function bars() {
  return Math.max(24, Math.min(180, Math.floor(innerWidth / 9)));
}

function keepCounting(counts, latest) {
  let ended = false;
  const work = async () => {
    let pause = LIVE_COUNTS_MS;
    while (!ended) {
      await new Promise((done) => setTimeout(done, pause));
      if (ended || document.hidden) continue;
      const took = await counts.show(latest.current, bars());
      // What is slow to count is counted less often.
      pause = Math.max(LIVE_COUNTS_MS, Math.min(took * 20, 120_000));
    }
  };
  work();
  return () => {
    ended = true;
  };
}
