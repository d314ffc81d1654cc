// The way out: the broker, and what waits for it and for each gateway.

import { facts, make, table } from "../dom.js";
import { bytes, duration, number, plain, seconds, setIcon } from "../words.js";

const ASK_MS = 2000;

export function show(root, page) {
  root.classList.add("stack");
  const timer = setInterval(() => document.hidden || page.again(), ASK_MS);

  function draw({ broker, outbox, readers, commands, capture_to_recorded_ms: recorded }) {
    const mark = make("span");
    setIcon(mark, broker.state);
    const said = make("section", { class: "panel", "aria-label": "Broker" }, make("h3", {}, mark, " ", make("span", { id: "broker" }, broker.words)),
      facts([
        ["Waiting in the outbox", number.format(outbox.rows)],
        ["The oldest waits for", outbox.rows ? seconds(outbox.oldest_s) : null],
        ["On disk", bytes(outbox.bytes)],
        ["Capture to record, middle", duration(recorded.p50)],
        ["Capture to record, 99 of 100", duration(recorded.p99)],
      ]));
    const rows = readers.map((one) => [one.name, number.format(one.rows), one.rows ? seconds(one.oldest_s) : "–", number.format(one.refused)]);
    root.replaceChildren(said, ...(rows.length ? [make("section", { class: "panel", "aria-label": "Readers" },
      table("Who takes records, and what waits for each", ["To", "Waiting", "The oldest for", "Refused"], rows))] : []),
      ...(commands ? [make("section", { class: "panel", "aria-label": "Commands" }, make("h3", {}, "Commands since the start"),
        facts([["Done", number.format(commands.performed)], ...Object.entries(commands.refused).map(([kind, count]) => [`Refused: ${plain(kind)}`, number.format(count)])]))] : []));
  }

  return { draw, leave: () => clearInterval(timer) };
}
