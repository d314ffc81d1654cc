// The threshold by a false-reject rate, from good parts that the archive kept: weighed first, then set.

import { act } from "./act.js";
import { command, labelled } from "./commands.js";
import { make } from "./dom.js";
import { weighed } from "./histogram.js";

const FRAMES = 2000; // of the newest good ones

/* What a threshold would have changed; a sentence where nobody can tell. */
export const would = (threshold) => act("what_if", { threshold }).catch((error) => error.message);

/* `onto()` gives the digest of the settings that whoever weighs is looking at. */
export function thresholdPanel(onto) {
  let [looked, found] = [null, null];
  const rate = make("input", { type: "number", name: "rate", value: "0.5", min: "0", max: "50", step: "any", required: true });
  const set = command({
    name: "threshold", button: "Set this threshold", twice: "Set it: yes",
    body: () => ({ threshold: found.threshold, onto: looked }),
    done: () => "It is in force once it has been checked and tried",
  });
  set.hidden = true;
  rate.addEventListener("input", () => {
    set.hidden = true;
  });
  const weigh = command({
    name: "calibrate", button: "Weigh good parts", fields: [labelled("Good parts that may be rejected, in percent", rate)],
    body: () => {
      looked = onto();
      set.hidden = true;
      return { false_reject_rate: Number(rate.value) / 100, frames: FRAMES };
    },
    done: async (answer) => {
      found = answer;
      const change = await would(found.threshold);
      set.hidden = false;
      return weighed(found, change, found.now);
    },
  });
  return make("section", { class: "panel stack", "aria-label": "Threshold by rate" }, make("h3", {}, "Threshold by rate"),
    make("p", { class: "soft" }, "From good frames of the archive that the bundle in force has judged; nothing is changed by looking."), weigh, set);
}
