// Everything the station stands on, looked at when somebody asks, beside the line and with less priority.

import { command } from "../commands.js";
import { make, setText, table } from "../dom.js";
import { dayTime, plural } from "../words.js";

const row = (one) => [`${one.family}: ${one.check}`, one.state === "wrong" ? "wrong" : "to note", one.words, one.remedy];
const needed = (one) => one.state === "wrong" || one.state === "note";
const list = (findings) => table("What to do", ["Check", "How it is", "What was seen", "Remedy"], findings.map(row));

function found({ wrong, notes, good, skipped, findings, left_out: more = 0 }) {
  const words = `Looked at ${dayTime(Date.now())}: ${plural(wrong, "thing")} wrong, ${notes} to note, ${good} good, ${skipped} not looked at${more ? `; ${more} more are not shown` : ""}`;
  return make("div", { class: "stack" }, make("p", { class: wrong ? "bad" : "" }, words), findings.length ? list(findings) : null);
}

let panel = null; // of this browser's window: a look goes on, and what it found stays, while other views are shown

function build(can) {
  const sofar = make("div", { class: "stack" }); // each finding as it comes
  let seen = [];
  return make("section", { class: "panel stack", "aria-label": "Doctor" },
    make("p", {}, can ? "The station looks at settings, bundle, engine, cameras, disk, clock, broker and more, beside the line and with less priority. This takes up to some minutes; nothing is changed." : "This agent has no doctor; run plumbline doctor on the machine."),
    can ? command({
      name: "doctor", button: "Look now",
      said: ({ finding, looked_at: count }, out) => {
        if (!finding) return;
        if (count === 1) seen = [];
        setText(out, `${plural(count, "thing")} looked at, the last: ${finding.family}, ${finding.check}`);
        if (!needed(finding)) return;
        seen.push(finding);
        sofar.replaceChildren(list(seen));
      },
      done: (told) => {
        sofar.replaceChildren();
        return found(told);
      },
    }) : null, sofar);
}

export function show(root) {
  root.classList.add("stack");
  return { draw: ({ can }) => root.firstChild ?? root.append(panel ??= build(can)) };
}
