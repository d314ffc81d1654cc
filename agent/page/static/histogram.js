// What scores say of a threshold: histograms on one scale, each with a table behind it, and what would change.

import { facts, make, table } from "./dom.js";
import { number, percent, plural } from "./words.js";

const [WIDTH, HEIGHT] = [400, 90];
const shown = (value) => value.toPrecision(3);

/* The scale that these histograms and marks have in common; scores have a long tail. */
export function scaleOf(shapes, values) {
  const all = [...shapes.flatMap(({ edges }) => edges), ...values].filter((value) => value > 0);
  const [low, high] = [Math.log(Math.min(...all)), Math.log(Math.max(...all))];
  return (value) => WIDTH * (0.02 + (0.96 * (Math.log(value) - low)) / Math.max(high - low, 1e-9));
}

/* `marks`: [word, value, class] of lines over all of it; counts of zero stay empty, others are seen. */
export function histogram(title, { edges, counts }, x, marks) {
  const most = Math.max(1, ...counts);
  const bars = counts.flatMap((count, index) => {
    if (!count) return [];
    const tall = Math.max(2, (count / most) * HEIGHT);
    return [make("rect", { class: "bar-good", x: x(edges[index]), y: HEIGHT - tall, width: Math.max(1, x(edges[index + 1]) - x(edges[index]) - 0.5), height: tall })];
  });
  const lines = marks.map(([, value, look]) => make("line", { class: `limit ${look}`, x1: x(value), x2: x(value), y1: 0, y2: HEIGHT }));
  const words = marks.map(([word, value]) => `${word} ${shown(value)}`).join(", ");
  const rows = counts.flatMap((count, index) => (count ? [[`${shown(edges[index])} to ${shown(edges[index + 1])}`, number.format(count)]] : []));
  return make("figure", {}, make("figcaption", {}, `${title}; ${words}`),
    make("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `${title}: scores from ${shown(edges[0] ?? 0)} to ${shown(edges.at(-1) ?? 0)}; ${words}` }, ...bars, ...lines),
    make("details", {}, make("summary", {}, "As a table"), table(title, ["Raw score", "Parts"], rows)));
}

/* A promise as the station tells it, and what it would change among the results that are kept: `would` is the
   answer to `what_if`, or why there is none; `ways` is what can be done then. */
export function weighed(found, would, now, ...ways) {
  const isKnown = typeof would !== "string";
  const marks = [["the line is", found.threshold, ""], ...(now ? [["now it is", now, "was"]] : [])];
  const made = found.made_up ?? [];
  const x = scaleOf([found.histogram, ...(isKnown ? [would.histogram] : [])], marks.map(([, value]) => value));
  const list = (label, lines) => make("ul", { class: "words", "aria-label": label }, ...lines.map((words) => make("li", {}, words)));
  const named = isKnown ? [["Would be rejected", would.rejected], ["Would pass", would.passed]].filter(([, { count }]) => count) : [];
  return make("div", { class: "stack" },
    facts([
      ["Threshold", `${found.threshold.toPrecision(5)} (95 %: ${shown(found.interval[0])} to ${shown(found.interval[1])})`],
      ["Promised false-reject rate", `${percent(found.rate)}${found.provisional ? `, not the ${percent(found.target)} asked for` : ""}`],
      ["Rejected of these", `${found.rejected} of ${number.format(found.frames)} (95 %: ${percent(found.rejected_interval[0])} to ${percent(found.rejected_interval[1])})`],
      ["Worth", `${plural(Math.floor(found.worth), "independent part")}${found.minutes === null ? "" : ` from ${plural(found.minutes, "minute")}`}`],
      ["Still needed", (found.parts_missing ?? found.missing) ? plural(found.parts_missing ?? found.missing, "part") : "none"],
    ]),
    made.length ? make("p", {}, `Of ${made.length} made-up defects ${made.filter((score) => score >= found.threshold).length} would be rejected`) : null,
    list("What would change", isKnown ? would.words : [would]),
    ...ways,
    histogram("Scores of the good parts", found.histogram, x, marks),
    isKnown && would.results ? histogram("Scores of the results that are kept", would.histogram, x, marks) : null,
    ...named.map(([title, { count, ids }]) => make("details", {}, make("summary", {}, `${title}: ${number.format(count)}, the nearest ${ids.length}`),
      make("p", {}, ...ids.map((id) => make("a", { class: "chip", href: `#/result/${encodeURIComponent(id)}` }, id.slice(0, 13)))))),
    found.groups.length > 1 ? table("By camera, recipe and light", ["Group", "Rejected", "95 %"], found.groups.map((one) => [
      [one.camera, one.recipe, one.light].filter(Boolean).join(" / ") || "all", `${one.rejected} of ${one.frames}`, `${percent(one.rejected_interval[0])} to ${percent(one.rejected_interval[1])}`])) : null,
    list("All that is said of it", found.words));
}
