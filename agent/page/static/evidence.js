// Why one result was judged so, by kind of evidence: asked for at a button, made beside the line.

import { act } from "./act.js";
import { make, setText, table } from "./dom.js";

const HEIGHT = 80;
const MANY = 3; // spreads, which good parts have in a place out of a hundred at most

const spreads = (value) => (value < 0 ? `−${(-value).toFixed(1)}` : value.toFixed(1));

function bars(place) {
  const most = Math.max(1, ...place.kinds.map((one) => one.peak));
  return table("Evidence by kind, in spreads above the mean of good parts", ["Evidence", "At the peak", "Over the defect", "Part of the map", "Places of good parts with as much"],
    place.kinds.map((one) => {
      const bar = make("i", { class: "length", "aria-hidden": "true" });
      bar.style.width = `${(100 * Math.max(0, one.peak)) / most}%`;
      return [one.words, make("span", { class: "lengths" }, spreads(one.peak), bar), spreads(one.mean), `${(100 * one.part).toFixed(0)} %`, one.rarity ?? "not measured"];
    }));
}

/* `values` along a line through the peak, with a mark at `limit`; the table behind it has every fourth place. */
function along(title, profile, values, limit, unit) {
  const [low, high] = [Math.min(0, ...values), Math.max(2 * limit, ...values)];
  const y = (value) => (HEIGHT * (high - value)) / (high - low);
  const most = Math.max(...values);
  const points = values.map((value, index) => `${index},${y(value).toFixed(2)} ${index + 1},${y(value).toFixed(2)}`).join(" ");
  const svg = make("svg", { class: "chart", viewBox: `0 0 ${values.length} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `${title}: at most ${spreads(most)} ${unit}` },
    make("line", { class: "limit", x1: 0, x2: values.length, y1: y(limit), y2: y(limit) }),
    make("polyline", { class: most >= limit ? "curve over" : "curve", points }));
  const rows = values.filter((_, index) => index % 4 === 0).map((_, index) => {
    const some = values.slice(4 * index, 4 * index + 4);
    return [`${Math.round(profile.start_px + (4 * index - 0.5) * profile.step_px)} px`, `${spreads(Math.max(...some))} ${unit}`];
  });
  return make("figure", {}, make("figcaption", {}, `${title}; the line is at ${limit} ${unit}`), svg,
    make("details", {}, make("summary", {}, "As a table"), table(title, ["From", "Strongest"], rows)));
}

/* A choice, and what it shows below. */
function choice(label, options, first, draw) {
  const out = make("div", { class: "stack" });
  const select = make("select", { onchange: () => out.replaceChildren(...draw(options[select.value][1])) }, ...options.map(([words], index) => make("option", { value: index }, words)));
  select.value = first;
  out.replaceChildren(...draw(options[first][1]));
  return make("div", { class: "stack" }, make("label", { hidden: options.length < 2 }, label, " ", select), out);
}

function profiles(place) {
  const charts = (name, words, limit, unit) => [["across", `${words} from left to right, at y ${place.peak_px[1]}`], ["down", `${words} from top to bottom, at x ${place.peak_px[0]}`]]
    .map(([way, title]) => along(title, place[way], name ? place[way].kinds[name] : place[way].map, limit, unit));
  const strongest = place.kinds.reduce((most, one, index) => (one.peak > place.kinds[most].peak ? index : most), 0);
  const options = [...place.kinds.map((one) => [one.words, [one.kind, one.words, MANY, "spreads"]]), ["all of it together, as it is judged", [null, "All evidence", 100, "% of the threshold"]]];
  return choice("Profile through its strongest place:", options, strongest, (chosen) => [make("div", { class: "grid" }, ...charts(...chosen))]);
}

function explained(found) {
  const named = (place) => (place.index === null ? "the strongest place" : `defect ${place.index + 1}, at x ${place.peak_px[0]}, y ${place.peak_px[1]}`);
  const worst = found.places.reduce((most, one, index) => (Math.max(...one.across.map) > Math.max(...found.places[most].across.map) ? index : most), 0);
  const from = found.good_frames ? `Good parts are ${found.good_frames} of those that bundle ${found.bundle} was calibrated with.` : `Nobody measured good parts for bundle ${found.bundle}: it says spreads alone.`;
  return [choice("Evidence of", found.places.map((place) => [named(place), place]), worst, (place) => [make("p", {}, place.sentence), bars(place), profiles(place)]),
    make("p", { class: "soft" }, from), ...found.notes.map((note) => make("p", { class: "soft" }, note))];
}

/* The panel of a result; nothing is computed before somebody asks. */
export function evidencePanel(data) {
  const out = make("div", { class: "stack", role: "status" });
  const button = make("button", { type: "button", onclick: async () => {
    button.disabled = true;
    setText(out, "The station looks at it once more, beside the line; this takes some seconds.");
    try {
      out.replaceChildren(...explained(await act("explain", { result_id: data.id })));
    } catch (error) {
      setText(out, error.message);
    }
    button.disabled = false;
  } }, "Explain by kind of evidence");
  return make("section", { class: "panel stack", "aria-label": "Evidence by kind" }, make("h3", {}, "Evidence by kind"),
    ...(data.can.explain ? [button, out] : [make("p", { class: "soft" }, "It cannot be explained by kind: that needs its pixels in the archive.")]));
}
