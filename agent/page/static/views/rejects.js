// What was rejected or not decided, newest first.

import { keyed, make, setText } from "../dom.js";
import { MarkList, markWords } from "../marks.js";
import { boxes, image } from "../pictures.js";
import { ask } from "../stream.js";
import { dayTime, plain, plural, verdictMark } from "../words.js";

const ASK_MS = 3000;

function card(one, marks) {
  const picture = image(one.picture, "");
  const view = make("div", { class: "view" }, picture);
  picture.addEventListener("load", () => one.boxes.length && one.lines && view.append(boxes({
    boxes: one.boxes, height: one.lines, width: (one.lines * picture.naturalWidth) / picture.naturalHeight,
  })), { once: true });
  const score = one.score === null ? null : `score ${one.score.toFixed(1)}`;
  return make("li", { "data-verdict": one.verdict },
    make("a", { href: `#/result/${encodeURIComponent(one.id)}`, "aria-label": `Look at ${one.camera}, ${dayTime(one.created)}${one.part_id ? `, part ${one.part_id}` : ""}, ${plural(one.boxes.length, "defect")}` }, view),
    make("p", {}, verdictMark(one.verdict), make("span", {}, score ?? "")),
    make("p", { class: "soft" }, dayTime(one.created)),
    make("p", { class: "soft" }, one.part_id ? `Part ${one.part_id}` : one.camera),
    one.label ? make("p", { class: "soft" }, `Label ${one.label === "unknown" ? "unknown: like no labelled defect" : one.label}`) : null,
    one.reason ? make("p", { class: "soft" }, plain(one.reason)) : null,
    make("p", { class: "soft marked" }, markWords(one.mark)), marks.foot(one));
}

export function show(root, page) {
  root.classList.add("stack");
  const which = page.query.get("verdict") ?? "fail";
  let camera = page.query.get("camera") ?? "";
  const label = page.query.get("label") ?? "";
  let results = [];
  let older = null;
  const select = make("select", { onchange: () => move() }, ...[["fail", "rejected"], ["undecided", "unknown"], ["pass", "good, as far as kept"], ["all", "all that is kept"]]
    .map(([value, word]) => make("option", { value, selected: value === which }, word)));
  const cameras = make("select", { onchange: () => move() }, make("option", { value: "" }, "all cameras"));
  const labels = make("select", { onchange: () => move() }, make("option", { value: "" }, "any label"));
  const words = make("p", { class: "soft" });
  const count = make("span", { class: "soft", role: "status" });
  const marks = new MarkList();
  const grid = make("ul", { class: "film wall", onkeydown: (event) => {
    const one = byKey(event.target.closest("li")?.dataset.key);
    if (one) marks.key(event, one);
  } });
  const more = make("button", { type: "button", hidden: true, onclick: next }, "Show older ones");
  root.append(make("div", { class: "bar" }, make("label", {}, "Show ", select), make("label", {}, "of ", cameras), make("label", {}, "with ", labels), count), marks.element, words, grid, more);
  const timer = setInterval(() => document.hidden || results.length > 48 || page.again(), ASK_MS);
  const query = () => ({ verdict: which, ...(camera ? { camera } : {}), ...(label ? { label } : {}) });

  function move() {
    location.hash = `#/rejects?${new URLSearchParams({ verdict: select.value, ...(cameras.value ? { camera: cameras.value } : {}), ...(labels.value ? { label: labels.value } : {}) })}`;
  }

  async function next() {
    const data = await ask("rejects", { ...query(), ...older });
    merge(data, [...results, ...data.results]);
  }

  function merge(data, all) {
    results = [...new Map(all.map((one) => [one.id, one])).values()];
    older = data.older;
    more.hidden = !older;
    keyed(grid, results, (one) => one.id, (one) => card(one, marks));
    results.forEach(drawMark);
    setText(count, results.length ? plural(results.length, "result") : "There are none.");
  }

  const byKey = (id) => results.find((one) => one.id === id);
  marks.changed = drawMark;

  /* In place, so that the focus stays. */
  function drawMark(one) {
    const at = results.findIndex((each) => each.id === one.id);
    if (at < 0) return;
    results[at].mark = one.mark;
    setText(grid.children[at].querySelector(".marked"), markWords(one.mark));
  }

  function draw(data) {
    marks.know(data);
    keyed(cameras, ["", ...data.cameras], (name) => name, (name) => make("option", { value: name, selected: name === camera }, name || "all cameras"));
    const names = [...new Set(["", ...data.named, label])];
    keyed(labels, names, (name) => name, (name) => make("option", { value: name, selected: name === label }, name || "any label"));
    labels.parentElement.hidden = names.length < 2;
    setText(words, data.words ?? "");
    merge(data, data.results);
  }

  return { draw, asks: { name: "rejects", query: query() }, leave: () => clearInterval(timer) };
}
