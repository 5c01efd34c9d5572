// What is wrong, worst first; what goes on; what is worth knowing.

import { Icon } from "../../parts/icons.js";
import { inOrder, isEnded } from "../pure/consequences.js";
import { format } from "../pure/url.js";
import { html, useState } from "../../view.js";
import { Name, short, To } from "./name.js";
import { OrderLine } from "./orders.js";

const SHOWN = 6;
const MOST = 300;

function Finding({ finding, go }) {
  const [whole, setWhole] = useState(false);
  const { grade, title, items, all } = finding;
  const shown = items.slice(0, whole ? MOST : SHOWN);
  const heading = all ? html`<${To} href=${format(all)} go=${go} to=${all}>${title}<//>` : title;
  return html`<section class=${`finding ${grade}`}>
    <h3><${Icon} name=${grade === "note" ? "help" : "warn"} /><span>${heading}</span></h3>
    <ul>${shown.map((item, at) => html`<li key=${at}>${item.to ? html`<${To} href=${format(item.to)} go=${go} to=${item.to}><${Name} of=${item.name} /><//>` : html`<${Name} of=${item.name} />`} <bdi class="says">${short(item.says)}</bdi></li>`)}</ul>
    ${items.length > SHOWN && html`<button type="button" class="textual small" aria-expanded=${whole} onClick=${() => setWhole(!whole)}>${whole ? "fewer" : `${items.length - SHOWN} more`}</button>`}
    ${whole && items.length > MOST && html`<p class="note">The first ${MOST} of them.</p>`}
  </section>`;
}

/** The view. `isLive` decides whether nothing wrong may be called good. */
export function Overview({ found, fleet, go, isLive, now, utc }) {
  const grave = found.filter(({ grade }) => grade !== "note");
  const notes = found.filter(({ grade }) => grade === "note");
  const going = inOrder(fleet.orders).filter((order) => !isEnded(order));
  const list = (findings) => findings.map((finding) => html`<${Finding} key=${finding.kind} finding=${finding} go=${go} />`);
  return html`<div class="overview" tabindex="0" role="region" aria-label="Overview">
    ${going.length > 0 && html`<section class="going"><h2>Under way</h2><ul>${going.map((order) => html`<li key=${order.id}><${OrderLine} order=${order} go=${go} now=${now} utc=${utc} /></li>`)}</ul></section>`}
    ${grave.length > 0 ? html`<section aria-labelledby="wrong"><h2 id="wrong">Wrong</h2><div class="findings">${list(grave)}</div></section>` : isLive ? html`<p class="all-well"><${Icon} name="good" />Nothing is wrong.</p>` : html`<p class="note">Nothing was wrong when this was last live.</p>`}
    ${notes.length > 0 && html`<section aria-labelledby="knowing"><h2 id="knowing">Worth knowing</h2><div class="findings">${list(notes)}</div></section>`}
  </div>`;
}
