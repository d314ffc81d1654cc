// What was rejected or not decided, newest first.

import { keyed, make, setText } from "../dom.js";
import { image } from "../pictures.js";
import { ask } from "../stream.js";
import { dayTime, plain, plural, verdictMark } from "../words.js";

const ASK_MS = 3000;
const MARKS = { confirmed: "confirmed by", false_alarm: "called a false alarm by", missed_defect: "called a missed defect by" };

function card(one) {
  const view = make("div", { class: "view" }, image(one.picture, ""));
  const score = one.score === null ? null : `score ${one.score.toFixed(1)}`;
  return make("li", { "data-verdict": one.verdict },
    make("a", { href: `#/result/${encodeURIComponent(one.id)}`, "aria-label": `Look at ${one.camera}, ${dayTime(one.created)}${one.part_id ? `, part ${one.part_id}` : ""}` }, view),
    make("p", {}, verdictMark(one.verdict), make("span", {}, score ?? "")),
    make("p", { class: "soft" }, dayTime(one.created)),
    make("p", { class: "soft" }, one.part_id ? `Part ${one.part_id}` : one.camera),
    one.reason ? make("p", { class: "soft" }, plain(one.reason)) : null,
    one.mark ? make("p", { class: "soft" }, `${MARKS[one.mark.word]} ${one.mark.by}`) : null);
}

export function show(root, page) {
  root.classList.add("stack");
  const which = page.query.get("verdict") ?? "fail";
  let camera = page.query.get("camera") ?? "";
  let results = [];
  let older = null;
  const select = make("select", { onchange: () => move() }, ...[["fail", "rejected"], ["undecided", "unknown"], ["pass", "good, as far as kept"], ["all", "all that is kept"]]
    .map(([value, word]) => make("option", { value, selected: value === which }, word)));
  const cameras = make("select", { onchange: () => move() }, make("option", { value: "" }, "all cameras"));
  const words = make("p", { class: "soft" });
  const count = make("span", { class: "soft", role: "status" });
  const grid = make("ul", { class: "film wall" });
  const more = make("button", { type: "button", hidden: true, onclick: next }, "Show older ones");
  root.append(make("div", { class: "bar" }, make("label", {}, "Show ", select), make("label", {}, "of ", cameras), count), words, grid, more);
  const timer = setInterval(() => document.hidden || results.length > 48 || page.again(), ASK_MS);
  const query = () => ({ verdict: which, ...(camera ? { camera } : {}) });

  function move() {
    location.hash = `#/rejects?${new URLSearchParams({ verdict: select.value, ...(cameras.value ? { camera: cameras.value } : {}) })}`;
  }

  async function next() {
    const data = await ask("rejects", { ...query(), ...older });
    merge(data, [...results, ...data.results]);
  }

  function merge(data, all) {
    results = [...new Map(all.map((one) => [one.id, one])).values()];
    older = data.older;
    more.hidden = !older;
    keyed(grid, results, (one) => `${one.id} ${one.mark?.at ?? ""}`, card);
    setText(count, results.length ? plural(results.length, "result") : "There are none.");
  }

  function draw(data) {
    keyed(cameras, ["", ...data.cameras], (name) => name, (name) => make("option", { value: name, selected: name === camera }, name || "all cameras"));
    setText(words, data.words ?? "");
    merge(data, data.results);
  }

  return { draw, asks: { name: "rejects", query: query() }, leave: () => clearInterval(timer) };
}
