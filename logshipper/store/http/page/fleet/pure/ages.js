// How long ago, in as few characters as say it.

const [MINUTE, HOUR, DAY] = [60, 3600, 86400];

/** Seconds as a length of time: 45 s, 3 min, 2 h 5 min, 4 d 3 h, 120 d. */
export function age(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < MINUTE) return `${whole} s`;
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)} min`;
  if (whole < DAY) return pair(whole, HOUR, "h", MINUTE, "min");
  if (whole < 10 * DAY) return pair(whole, DAY, "d", HOUR, "h");
  return `${Math.floor(whole / DAY)} d`;
}

function pair(seconds, large, largeName, small, smallName) {
  const rest = Math.floor((seconds % large) / small);
  return `${Math.floor(seconds / large)} ${largeName}${rest ? ` ${rest} ${smallName}` : ""}`;
}
