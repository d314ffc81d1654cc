// How long it takes to collect parts, as fast as they come now.

import { number, plural } from "./words.js";

/* `apart`: over at least so many minutes parts are taken, since those of one minute are alike. */
export function minutesWords({ source, parts, interval_s: each, apart }) {
  if (source === "archive") return "They are there already: it takes seconds.";
  if (!(parts >= 1)) return "";
  if (!each) return "How long it takes is known once parts come.";
  const most = Math.ceil(parts / apart); // of one minute
  const minutes = Math.ceil(parts / Math.min(60 / each, most));
  const slow = 60 / each < most ? `one comes every ${number.format(Number(each.toPrecision(2)))} s` : `at most ${plural(most, "part")} of a minute count, since they are alike`;
  return `${source === "passed" ? "At least" : "About"} ${plural(minutes, "minute")} at the present rate: ${slow}.`;
}
