// The last 24 hours: results, defects by size, place and label, and the rolls of webs.

import { pareto, timeBars, timeCurve } from "../charts.js";
import { keyed, make, table } from "../dom.js";
import { clockTime, dayTime, number, percent, plural } from "../words.js";

const ASK_MS = 30_000;
const PARTS = [["good", "Good", "bar-good"], ["unknown", "Unknown", "bar-warn"], ["dropped", "Dropped", "bar-none"], ["rejected", "Rejected", "bar-bad"]];
const SVG_ROW = 60;

/* A web from its first line at the left; defects are marked where they lie. */
function rollMap(roll) {
  const across = (x) => (x / (roll.width_px || 1)) * SVG_ROW;
  const along = (line) => ((line - roll.first_line) / (roll.lines || 1)) * 1000;
  const least = 4;
  const map = make("svg", { class: "chart roll", viewBox: `0 0 1000 ${SVG_ROW}`, preserveAspectRatio: "none", role: "img", "aria-label": `Map of roll ${roll.roll_id}: ${plural(roll.defects_counted, "defect")}` },
    ...roll.stretches.map(([first, lines, verdict]) => make("rect", { class: verdict === "fail" ? "bar-band" : "bar-none", x: along(first), y: 0, width: Math.max(1, along(first + lines) - along(first)), height: SVG_ROW })),
    ...roll.defects.map(([x, line, width, lines]) => make("rect", { class: "bar-bad", x: along(line), y: across(x), width: Math.max(least, along(line + lines) - along(line)), height: Math.max(least, across(x + width) - across(x)) })));
  const length = roll.metres === null ? `${number.format(roll.lines)} lines` : `${roll.metres.toFixed(1)} m`;
  const rows = roll.defects.slice(0, 50).map(([x, line, width, lines, area]) => [number.format(line), number.format(x), `${width} × ${lines}`, number.format(area)]);
  return make("figure", {}, make("figcaption", {}, `Roll ${roll.roll_id} of camera ${roll.camera}, ${length}, ${plural(roll.defects_counted, "defect")}; the web runs from left to right`), map,
    make("details", {}, make("summary", {}, "As a table"), table("The strongest defects", ["Line", "From the left, px", "Size, px", "Area, px"], rows)));
}

export function show(root, page) {
  root.classList.add("stack");
  const camera = page.query.get("camera") ?? "";
  const cameras = make("select", { onchange: () => { location.hash = `#/trends?camera=${encodeURIComponent(cameras.value)}`; } });
  const place = make("div", { class: "stack" });
  root.append(make("div", { class: "bar" }, make("label", {}, "Of ", cameras)), place);
  const timer = setInterval(() => document.hidden || root.querySelector("details[open]") || page.again(), ASK_MS);

  function draw(data) {
    keyed(cameras, ["", ...data.cameras], (name) => name, (name) => make("option", { value: name, selected: name === camera }, name || "all cameras"));
    const { total } = data;
    const said = total.inspected
      ? `${number.format(total.inspected)} inspected, ${number.format(total.rejected)} rejected (${percent(total.rejected / total.inspected)}), ${number.format(total.unknown)} unknown, ${number.format(total.dropped)} dropped.`
      : "Nothing was inspected in the last 24 hours, as far as is known.";
    const known = data.known_since && data.known_since > data.since ? ` Nothing is known from before ${dayTime(data.known_since)}.` : "";
    place.replaceChildren(
      make("section", { class: "panel stack", "aria-label": "Results" }, make("h3", {}, "Results of 24 hours"), make("p", {}, said + known),
        timeBars("Results by ten minutes", data.bins, PARTS, clockTime),
        make("p", { class: "legend" }, ...PARTS.map(([, word, look]) => make("span", {}, make("i", { class: `key ${look}` }), word)))),
      make("section", { class: "panel", "aria-label": "Scores" }, make("h3", {}, "Scores"), timeCurve("Highest score of each ten minutes", data.bins, (bin) => bin.score_max, clockTime)),
      make("section", { class: "panel", "aria-label": "Defects" }, make("h3", {}, `Defects: ${number.format(data.defects)}`),
        data.defects_since ? make("p", { class: "soft" }, `Of the last defects alone, since ${dayTime(data.defects_since)}: there were more in 24 hours than are kept.`) : null,
        make("div", { class: "grid" }, pareto("By size", "Area", data.pareto.size), pareto("By place in the picture", "Place", data.pareto.place), pareto("By label", "Label", data.pareto.label))),
      ...(data.rolls.length ? [make("section", { class: "panel stack", "aria-label": "Rolls" }, make("h3", {}, "Rolls"), ...data.rolls.map(rollMap))] : []));
  }

  return { draw, asks: { name: "trends", query: camera ? { camera } : {} }, leave: () => clearInterval(timer) };
}
