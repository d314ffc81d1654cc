// Everything the station stands on, looked at when somebody asks, beside the line and with less priority.

import { command } from "../commands.js";
import { make, table } from "../dom.js";
import { plural } from "../words.js";

function found({ wrong, notes, good, skipped, findings, left_out: more = 0 }) {
  const words = `${plural(wrong, "thing")} wrong, ${notes} to note, ${good} good, ${skipped} not looked at${more ? `; ${more} more are not shown` : ""}`;
  const rows = findings.map((one) => [`${one.family}: ${one.check}`, one.state === "wrong" ? "wrong" : "to note", one.words, one.remedy]);
  return make("div", { class: "stack" }, make("p", { class: wrong ? "bad" : "" }, words),
    rows.length ? table("What to do", ["Check", "How it is", "What was seen", "Remedy"], rows) : null);
}

export function show(root) {
  root.classList.add("stack");
  let drawn = false;

  function draw({ can }) {
    if (drawn) return; // what was found stays
    drawn = true;
    root.replaceChildren(make("section", { class: "panel stack", "aria-label": "Doctor" },
      make("p", {}, can ? "The station looks at what it stands on, beside the line; this takes some seconds." : "This agent has no doctor; run plumbline doctor on the machine."),
      can ? command({ name: "doctor", button: "Look now", done: found }) : null));
  }

  return { draw };
}
