// Starts the fleet page.

import { Failure } from "../parts/failure.js";
import { html, render } from "../view.js";
import { App } from "./parts/app.js";

const CALM = "The fleet does not notice: this is a fault of the page alone.";

render(html`<${Failure} calm=${CALM}><${App} /><//>`, document.getElementById("page"));
