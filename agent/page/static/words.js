// What things are called on every view, their forms and colours.

import { make } from "./dom.js";

export const number = new Intl.NumberFormat("en-US");
const UNITS = [["ms", 1], ["s", 1000], ["min", 60_000], ["h", 3_600_000]];

const PATHS = {
  check: "M3 8.5l3.2 3.2L13 4.5",
  circle: "M8 2.6a5.4 5.4 0 1 1 0 10.8a5.4 5.4 0 1 1 0-10.8",
  cross: "M3.5 3.5l9 9M12.5 3.5l-9 9",
  bar: "M2.5 8h11",
  dash: "M5 8h1.5M9.5 8H11",
  alert: "M8 2.5l6 11H2zM8 7v2.6M8 11.6v.1",
  ring: "M8 3v2.5M8 10.5V13M3 8h2.5M10.5 8H13",
};

/* By verdict: what the line reads, in full, form, colour. A part that was not looked at is unknown, too. */
export const VERDICTS = {
  pass: { sign: "OK", word: "Good", form: "circle", colour: "good" },
  fail: { sign: "NG", word: "Rejected", form: "cross", colour: "bad" },
  undecided: { sign: "UNKNOWN", word: "Unknown", form: "bar", colour: "warn" },
  skipped: { sign: "UNKNOWN", word: "Dropped", form: "dash", colour: "warn" },
};

const STATES = {
  running: ["Running", "check", "none"],
  partly: ["Running", "alert", "warn"],
  degraded: ["Degraded", "alert", "bad"],
  starting: ["Starting", "ring", "warn"],
  silent: ["No answer", "alert", "bad"],
  streaming: ["Streaming", "check", "none"],
  unjudged: ["Streaming", "alert", "warn"],
  connected: ["Connected", "check", "none"],
  connecting: ["Connecting", "ring", "warn"],
  closed: ["Closed", "ring", "warn"],
  opening: ["Opening", "ring", "warn"],
  stalled: ["Stalled", "alert", "bad"],
  lost: ["Lost", "alert", "bad"],
  frozen: ["Frozen", "alert", "bad"],
  finished: ["Finished", "dash", "none"],
  disabled: ["Disabled", "dash", "warn"],
};

export const stateWord = (state) => STATES[state][0];
export const stateColour = (state) => STATES[state][2];

export function icon(form, colour, size = "icon") {
  return make("svg", { class: `${size} ${colour}`, viewBox: "0 0 16 16", "aria-hidden": "true" }, make("path", { d: PATHS[form] }));
}

export function setIcon(element, state) {
  if (element.dataset.state === state) return;
  element.dataset.state = state;
  const [, form, colour] = STATES[state];
  element.replaceChildren(icon(form, colour));
}

/* Form and word of a verdict. */
export function verdictMark(verdict, colour = VERDICTS[verdict].colour) {
  const { form, word } = VERDICTS[verdict];
  return make("span", { class: `mark ${colour}` }, icon(form, colour), make("span", {}, word));
}

export function duration(ms) {
  if (ms === null || ms === undefined) return "–";
  let [unit, size] = UNITS[0];
  for (const [larger, least] of UNITS) if (ms >= least) [unit, size] = [larger, least];
  const value = ms / size;
  return `${value.toFixed(value < 10 && size > 1 ? 1 : value < 10 ? 1 : 0)} ${unit}`;
}

/* How long ago, as people say it. */
export function age(seconds) {
  if (seconds < 1) return "now";
  if (seconds < 60) return `${Math.floor(seconds)} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min ago`;
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h ago`;
}

export const seconds = (value) => age(Math.max(1, value)).replace(" ago", "");

export function percent(share) {
  const value = 100 * share;
  if (value > 0 && value < 0.01) return "< 0.01 %";
  if (value > 99.99 && value < 100) return "> 99.99 %";
  return `${value.toFixed(value === 0 || value === 100 ? 0 : value < 10 ? 2 : 1)} %`;
}

export const bytes = (size) => (size < 1e6 ? `${(size / 1e3).toFixed(1)} kB` : size < 1e9 ? `${(size / 1e6).toFixed(1)} MB` : `${(size / 1e9).toFixed(2)} GB`);

export const clockTime = (stamp) =>
  new Date(stamp).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export const dayTime = (stamp) => {
  const when = new Date(stamp);
  const day = when.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
  return when.toDateString() === new Date().toDateString() ? clockTime(stamp) : `${day}, ${clockTime(stamp)}`;
};

export const plural = (count, word) => `${number.format(count)} ${word}${count === 1 ? "" : "s"}`;

export const plain = (name) => name.replaceAll("_", " ");

/* How much of the last minute was not judged; empty where all was. */
export function unjudgedWords(work) {
  const unjudged = Object.values(work.unjudged).reduce((sum, count) => sum + count, 0);
  return unjudged ? `${number.format(unjudged)} of ${number.format(work.judged + unjudged)} frames of the last minute not judged` : "";
}
