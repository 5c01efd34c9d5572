// Where each row of a long list stands, when their heights become known only as they are shown.

/** Offsets of rows, each of its known height or of an estimate. */
export class Heights {
  constructor(estimate) {
    this.estimate = estimate;
    this.offsets = new Float64Array(1024);
    this.length = 0;
  }

  /** Takes the rows anew; each keeps its place in `at`. */
  rebuild(rows) {
    if (this.offsets.length <= rows.length) this.offsets = new Float64Array(rows.length * 2 + 1);
    const { offsets, estimate } = this;
    let sum = 0;
    for (let at = 0; at < rows.length; at += 1) {
      const row = rows[at];
      row.at = at;
      offsets[at] = sum;
      sum += row.height || estimate;
    }
    offsets[rows.length] = sum;
    this.length = rows.length;
  }

  /** The height of all. */
  get total() {
    return this.offsets[this.length];
  }

  /** Where a row begins; the end of the list for the one behind the last. */
  offset(at) {
    return this.offsets[Math.min(at, this.length)];
  }

  /** The row at a height. */
  find(y) {
    let [low, high] = [0, Math.max(this.length - 1, 0)];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.offsets[middle] <= y) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
