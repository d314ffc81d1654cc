// The last proofs of bundles, as a section of a view.

import { make } from "./dom.js";
import { image } from "./pictures.js";
import { VERDICTS, dayTime, icon, number } from "./words.js";

function lookWords(look) {
  const { word } = VERDICTS[look.verdict];
  return look.normalized === null ? word : `${word} ${look.normalized.toFixed(1)}`;
}

function proofView(address, caption) {
  const frame = make("div", { class: "view" });
  frame.append(address ? image(address, caption, "lazy") : make("p", { class: "no-picture" }, "no picture"));
  return make("figure", {}, frame, make("figcaption", {}, caption));
}

function differenceCard(one) {
  const title = make("h3", {}, `${lookWords(one.incumbent)} → ${lookWords(one.candidate)}`);
  const head = make("div", { class: "reject-head" }, title, make("time", { datetime: one.created }, dayTime(one.created)));
  head.append(make("span", { class: "soft" }, one.camera), make("span", { class: "part mono" }, one.result_id));
  const triple = make("div", { class: "triple" }, proofView(one.pictures.original, "Original"));
  triple.append(proofView(one.pictures.incumbent, `Serving: ${lookWords(one.incumbent)}`));
  triple.append(proofView(one.pictures.candidate, `New: ${lookWords(one.candidate)}`));
  return make("article", { class: "reject" }, head, triple);
}

export function proofPanel(proof) {
  const { candidate, incumbent, frames, flips, shift } = proof;
  const [symbol, colour, word] = proof.refused ? ["cross", "bad", "refused"] : ["check", "none", "may serve"];
  const against = incumbent ? ` against ${incumbent.name} ${incumbent.sha256.slice(0, 12)}` : "";
  const name = `${candidate.name} ${candidate.sha256.slice(0, 12)}${against}: ${word}`;
  const summary = make("summary", {}, icon(symbol, colour), make("span", {}, name));
  summary.append(make("time", { class: "soft", datetime: proof.at }, dayTime(proof.at)));
  const flipped = flips.to_fail + flips.to_pass + flips.to_undecided;
  const facts = [
    `${number.format(frames.judged)} frames of the archive: ${frames.passes} pass, ${frames.fails} fail, ${frames.undecided} undecided`,
    `${flipped} flipped: ${flips.to_fail} to fail, ${flips.to_pass} to pass, ${flips.to_undecided} to undecided`,
    ...(shift ? [`scores shifted by ${shift.median.toFixed(1)} % of the threshold in the middle, ${shift.worst.toFixed(1)} % at most`] : []),
    ...(proof.refused ? [proof.refused] : []),
    ...proof.notes,
  ];
  const list = make("ul", { class: "soft" }, ...facts.map((fact) => make("li", {}, fact)));
  return make("details", { class: "proof" }, summary, list, make("div", { class: "differences" }, ...proof.worst.map(differenceCard)));
}
