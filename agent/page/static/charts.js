// Charts as SVG that follows the page's colours, each with a table behind it.

import { make, table } from "./dom.js";

/* A line over its length with a mark at 100, the threshold; `values` in percent of it, null where nothing is known. */
function curve(title, values) {
  const [width, height] = [values.length, 60];
  const top = Math.max(200, ...values);
  const y = (value) => height - (Math.min(value, top) / top) * height;
  const most = Math.max(0, ...values);
  const pieces = [[]]; // a gap in what is known is one in the line
  values.forEach((value, index) => (value === null ? pieces.push([]) : pieces.at(-1).push(`${index},${y(value).toFixed(2)} ${index + 1},${y(value).toFixed(2)}`)));
  return [
    make("figcaption", {}, `${title}, in percent of the threshold, which is the dashed line; the top is ${top.toFixed(0)}, the highest ${most.toFixed(0)}`),
    make("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": `${title}: at most ${most.toFixed(0)} percent of the threshold` },
      make("line", { class: "limit", x1: 0, x2: width, y1: y(100), y2: y(100) }),
      ...pieces.filter((some) => some.length).map((some) => make("polyline", { class: most >= 100 ? "curve over" : "curve", points: some.join(" ") }))),
  ];
}

const asTable = (...parts) => make("details", {}, make("summary", {}, "As a table"), table(...parts));

/* Over a picture of `ends` pixels. */
export function profileChart(title, values, ends) {
  const step = Math.ceil(values.length / 24);
  const rows = values.filter((_, index) => index % step === 0).map((_, index) => {
    const some = values.slice(index * step, (index + 1) * step);
    return [`${Math.round(((index * step) / values.length) * ends)} px`, `${Math.max(...some).toFixed(0)} %`];
  });
  return make("figure", {}, ...curve(title, values), asTable(title, ["From", "Strongest, of the threshold"], rows));
}

/* The hours below a chart of `bins` with `at`. */
function hours(bins, clock) {
  const marks = bins.flatMap((bin, index) => (clock(bin.at).endsWith(":00:00") && Number(clock(bin.at).slice(0, 2)) % 4 === 0 && index < 0.94 * bins.length
    ? [make("span", { "data-at": index / bins.length }, clock(bin.at).slice(0, 5))] : []));
  for (const mark of marks) mark.style.left = `${100 * mark.dataset.at}%`;
  return make("div", { class: "axis", "aria-hidden": "true" }, ...marks);
}

/* `value` of each bin over time. */
export function timeCurve(title, bins, value, clock) {
  const rows = bins.filter((bin) => value(bin) !== null).map((bin) => [clock(bin.at), `${value(bin).toFixed(1)} %`]).reverse();
  return make("figure", {}, ...curve(title, bins.map(value)), hours(bins, clock), asTable(title, ["From", "Of the threshold"], rows));
}

/* Bars by time, each stacked of `parts` [key, word, class]; `bins` have `at`. */
export function timeBars(title, bins, parts, clock) {
  const [width, height] = [bins.length * 4, 120];
  const most = Math.max(1, ...bins.map((bin) => parts.reduce((sum, [key]) => sum + bin[key], 0)));
  const bars = bins.flatMap((bin, index) => {
    let base = height;
    return parts.filter(([key]) => bin[key]).map(([key, , look]) => {
      const tall = Math.max((bin[key] / most) * height, 1);
      base -= tall;
      return make("rect", { class: look, x: index * 4, y: base, width: 3.4, height: tall });
    });
  });
  const rows = bins.filter((bin) => parts.some(([key]) => bin[key])).map((bin) => [clock(bin.at), ...parts.map(([key]) => String(bin[key]))]).reverse();
  return make("figure", {}, make("figcaption", {}, `${title}; the tallest bar is ${most}`),
    make("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img", "aria-label": title }, ...bars),
    hours(bins, clock), asTable(title, ["From", ...parts.map(([, word]) => word)], rows));
}

/* Names by how often they come, most first; the table is the chart. `which` says what they are. */
export function pareto(title, which, rows) {
  const total = rows.reduce((sum, row) => sum + row.count, 0);
  let seen = 0;
  const drawn = rows.slice(0, 12).map((row) => {
    seen += row.count;
    const bar = make("i", { class: "length", "aria-hidden": "true" });
    bar.style.width = `${(100 * row.count) / rows[0].count}%`;
    return [row.name, make("span", { class: "lengths" }, bar), String(row.count), `${((100 * seen) / total).toFixed(0)} %`];
  });
  return rows.length ? table(title, [which, "Share", "Defects", "Up to here"], drawn) : make("p", { class: "soft" }, `${title}: none yet`);
}
