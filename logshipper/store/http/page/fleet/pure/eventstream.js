// Server-sent events out of a text that comes in pieces (HTML standard, 9.2.6).
//
// The browser's own EventSource tells neither why it was refused nor that a comment came, and
// comments are how one hears that a connection lives.

/** Reads one stream. Lines may end in LF or CR LF, which is what servers send. */
export class EventStream {
  constructor() {
    this.open = []; // pieces of the line that has not ended: it may be of many megabytes
    this.forget();
  }

  forget() {
    this.event = "message";
    this.data = [];
  }

  /** Takes a piece; the events that are whole with it: {event, data}. */
  feed(text) {
    const found = [];
    let from = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", from)) {
      this.open.push(text.slice(from, end));
      const line = this.open.join("");
      this.open = [];
      from = end + 1;
      this.take(line.endsWith("\r") ? line.slice(0, -1) : line, found);
    }
    if (from < text.length) this.open.push(text.slice(from));
    return found;
  }

  take(line, found) {
    if (line === "") {
      if (this.data.length) found.push({ event: this.event, data: this.data.join("\n") });
      this.forget();
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return; // a comment
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (name === "event") this.event = value;
    else if (name === "data") this.data.push(value);
  }
}
