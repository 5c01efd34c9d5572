// Starts the page.

import { App } from "./parts/app.js";
import { Failure } from "./parts/failure.js";
import { html, render } from "./view.js";

render(html`<${Failure}><${App} /><//>`, document.getElementById("page"));
