// Starts the page.

import { App } from "./parts/app.js";
import { html, render } from "./view.js";

render(html`<${App} />`, document.getElementById("page"));
