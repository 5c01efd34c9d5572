// Changes from outside, taken up at most once in a frame.

import { useRef, useState } from "../view.js";

/** A function that has the part shown anew. */
export function useRedraw() {
  const [, setTick] = useState(0);
  const asked = useRef(0);
  // Many changes within a frame are one picture.
  return useRef(() => {
    asked.current ||= requestAnimationFrame(() => {
      asked.current = 0;
      setTick((tick) => tick + 1);
    });
  }).current;
}
