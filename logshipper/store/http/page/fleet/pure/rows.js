// Rows of a long list that stay the same objects while what they show changes, so that the list
// knows their heights and its place.

let serial = 0;

export class Rows {
  constructor() {
    this.known = new Map();
  }

  /** Takes what is to be shown, [{key, ...}]; gives as many rows, each with it as `item`. */
  show(items) {
    const next = new Map();
    const rows = items.map((item) => {
      const row = this.known.get(item.key) ?? { id: `r${(serial += 1)}`, height: 0, at: 0, item };
      row.item = item;
      next.set(item.key, row);
      return row;
    });
    this.known = next;
    return rows;
  }

  /** The row of a key that is shown. */
  get(key) {
    return this.known.get(key);
  }
}
