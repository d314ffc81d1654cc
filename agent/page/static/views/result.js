// One result: pictures to look into, the evidence in figures and words, and what it rests on.

import { act } from "../act.js";
import { profileChart } from "../charts.js";
import { facts, make, setText, table } from "../dom.js";
import { evidencePanel } from "../evidence.js";
import { markPanel } from "../marks.js";
import { Viewer } from "../viewer.js";
import { dayTime, duration, number, plain, verdictMark } from "../words.js";

const KINDS = [["input", "Picture"], ["restored", "Restoration"], ["heat", "Evidence"]];

/* A digest that is copied at a click. */
function digest(value, page) {
  if (!value) return null;
  const copy = make("button", { type: "button", class: "small", onclick: async () => {
    try {
      await navigator.clipboard.writeText(value);
      page.notice("Copied.");
    } catch {
      getSelection().selectAllChildren(copy.previousSibling); // a page without TLS may not write there itself
      page.notice("Selected; copy it with Ctrl+C.");
    }
  } }, "Copy");
  return make("span", {}, make("span", { class: "mono" }, value), copy);
}

function replayed(found) {
  const value = (one) => (typeof one === "number" ? String(Number(one.toPrecision(7))) : one ?? "–");
  const rows = found.rows.map((row) => [row.what, value(row.then), value(row.now), row.is_same ? "same" : "differs"]);
  const digests = found.digests.map((one) => [one.what, one.then.slice(0, 16), one.used?.slice(0, 16) ?? "not at hand", one.used === one.then ? "same" : "differs"]);
  return make("div", {}, make("p", { class: found.reproduced ? "" : "bad" }, found.reproduced ? "The decision was reproduced." : "The decision was not reproduced."),
    table("Then and now", ["What", "Then", "Now", "Difference"], [...rows, ...digests]), make("ul", {}, ...found.notes.map((note) => make("li", {}, note))));
}

const UNNAMED = { late: "late: not named in time", opening: "the label set was being opened", refused: "the label set is refused; see the notes", failed: "it could not be named" };

function labelWords(defect, set) {
  if (defect.label === null) return UNNAMED[defect.label_reason] ?? (set ? "not asked for: only defects of rejected parts are named" : "no label set names defects of this recipe");
  if (defect.label === "unknown") return "unknown: like none of the labelled defects";
  return defect.label_certainty === undefined ? defect.label : `${defect.label}, ${Math.round(100 * defect.label_certainty)} % sure`;
}

export function show(root, page) {
  root.classList.add("stack");
  const id = page.rest[0] ?? "";
  let drawn = false;

  function draw(data) {
    if (drawn) return; // a result never changes, and what is looked at must not jump
    drawn = true;
    const kinds = KINDS.filter(([kind]) => data.pictures[kind]);
    const viewer = new Viewer(data, page);
    const score = data.score === null ? null : `${data.score.toFixed(1)}, rejected from 100 on (raw ${data.raw.toPrecision(4)}, threshold ${data.threshold.toPrecision(4)})`;
    const { provenance } = data;
    root.replaceChildren(...[
      make("div", { class: "bar result-head" }, verdictMark(data.verdict),
        make("span", {}, [data.part_id && `Part ${data.part_id}`, `camera ${data.camera}`, `frame ${number.format(data.frame_id)}`, dayTime(data.created)].filter(Boolean).join(", ")),
        data.is_simulated ? make("span", { class: "warn" }, "simulated: no real part") : null),
      data.reason ? make("p", { class: "warn" }, `${plain(data.reason)}${data.detail ? `: ${data.detail}` : ""}`) : null,
      kinds.length ? viewer.element : make("p", { class: "empty" }, "No picture of it is kept any more."),
      markPanel(data),
      make("section", { class: "panel stack", "aria-label": "Why" }, make("h3", {}, "Why"),
        facts([["Score", score], ["Defects", number.format(data.boxes.length)], ["Recipe", data.recipe]]),
        make("ul", { class: "words" }, ...data.words.map((words) => make("li", {}, words))),
        data.words.length ? null : make("p", { class: "soft" }, "No map of the evidence is kept of this result."),
        data.profile ? make("div", { class: "grid" }, profileChart("Strongest evidence from left to right", data.profile.across, data.width),
          profileChart("Strongest evidence from top to bottom", data.profile.down, data.height)) : null,
        data.defects.length ? table("Defects", ["Defect", "Place x, y", "Size, px", "Area, px", "Label"], data.defects.map((one) =>
          [`${one.index + 1}`, `${one.bbox_px[0]}, ${one.bbox_px[1]}`, `${one.bbox_px[2]} × ${one.bbox_px[3]}`, number.format(one.area_px), labelWords(one, provenance.labels_sha256)])) : null),
      evidencePanel(data),
      make("section", { class: "panel stack", "aria-label": "What it rests on" }, make("h3", {}, "What it rests on"),
        facts([
          ["Result", digest(provenance.result_id, page)],
          ["Bundle", provenance.bundle],
          ["Digest of the bundle", digest(provenance.bundle_sha256, page)],
          ["Engine", provenance.engine],
          ["Label set", provenance.labels_sha256 && digest(provenance.labels_sha256, page)],
          ["Settings", `revision ${provenance.settings_revision}`],
          ["Digest of the settings", digest(provenance.settings_sha256, page)],
          ["Digest of the recipe", digest(provenance.recipe_sha256, page)],
          ["Digest of the pixels", digest(provenance.pixels_sha256, page)],
          ["Time in the engine", data.timing_ms.infer === null ? null : duration(data.timing_ms.infer)],
          ["Capture to record", duration(data.timing_ms.capture_to_recorded)],
        ]),
        replaySection(data)),
    ].filter(Boolean));
  }

  function replaySection(data) {
    if (!data.can.replay) return make("p", { class: "soft" }, "It cannot be decided again: that needs its pixels in the archive.");
    const out = make("div", { role: "status" });
    const button = make("button", { type: "button", onclick: async () => {
      button.disabled = true;
      setText(out, "The station decides it once more, beside the line; this takes some seconds.");
      try {
        out.replaceChildren(replayed(await act("replay", { result_id: data.id })));
      } catch (error) {
        setText(out, error.message);
      }
      button.disabled = false;
    } }, "Decide it again");
    return make("div", { class: "stack" }, button, out);
  }

  return { draw, title: "Result", asks: { name: "result", query: { id } } };
}
