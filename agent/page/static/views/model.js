// What judges, how long it takes, and the last proofs of bundles.

import { facts, keyed, make } from "../dom.js";
import { proofPanel } from "../proofs.js";
import { duration } from "../words.js";

const ASK_MS = 10_000;

export function show(root, page) {
  root.classList.add("stack");
  const timer = setInterval(() => document.hidden || page.again(), ASK_MS);
  const serves = make("section", { class: "panel", "aria-label": "What judges" });
  const proofs = make("div", { id: "proofs" });
  const section = make("section", { id: "proofs-section", "aria-label": "Proofs of bundles", hidden: true },
    make("div", { class: "bar" }, make("h3", {}, "Proofs of bundles"), make("span", { class: "soft" }, "newest first")), proofs);
  root.append(serves, section);

  function draw({ model, infer_ms: infer, proofs: found }) {
    serves.replaceChildren(make("h3", {}, model ? `Model ${model.bundle}` : "No model is loaded"), ...(model ? [facts([
      ["Digest", make("span", { class: "mono" }, model.sha256)],
      ["Engine", model.engine],
      ["Threshold", model.threshold.toPrecision(4)],
      ["It promises a false-reject rate of", model.provisional_rate === null ? null : `${(100 * model.provisional_rate).toFixed(1)} % only: provisional`],
      ["Time in the engine, middle", duration(infer.p50)],
      ["Time in the engine, 99 of 100", duration(infer.p99)],
    ])] : []));
    keyed(proofs, found, (proof) => `${proof.candidate.sha256} ${proof.at}`, proofPanel);
    section.hidden = found.length === 0;
  }

  return { draw, leave: () => clearInterval(timer) };
}
