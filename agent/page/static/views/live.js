// What happens now, to be read from three metres: the latest decision of each camera in word, form and edge.

import { keyed, make, setText } from "../dom.js";
import { Aged, boxes, image, noPicture } from "../pictures.js";
import { VERDICTS, age, clockTime, dayTime, icon, number, percent, plain, setIcon, unjudgedWords, verdictMark } from "../words.js";

const KEPT = 50;
const PICTURES_AT_ONCE = 8; // of the film strip, at one event or in half a second: a fast line shows the rest later
const LEAST_OLD_S = 2;
const LONGEST_SIGN = 3;
const ALERT_EVERY_MS = 10_000;

/* One camera: its latest decision and picture. */
class Station {
  constructor(name) {
    this.name = name;
    this.sign = make("div", { class: "sign" });
    this.about = make("p", { class: "about" });
    this.state = make("span");
    this.words = make("span");
    this.aged = new Aged();
    this.element = make("section", { class: "verdict", "aria-label": `Camera ${name}` },
      make("div", { class: "decided" }, make("div", {}, make("h3", {}, this.state, " ", this.words), this.sign, this.about), this.aged.element));
  }

  draw(camera) {
    this.camera = camera;
    const unjudged = unjudgedWords(camera.last_minute);
    const state = camera.frozen_s !== null ? "frozen" : camera.state === "streaming" && unjudged ? "unjudged" : camera.state;
    setIcon(this.state, state);
    setText(this.words, unjudged ? `${camera.words}; ${unjudged}` : camera.words);
  }

  result(one) {
    const { sign, word, form, colour } = VERDICTS[one.verdict];
    this.element.dataset.verdict = one.verdict;
    this.sign.className = `sign ${colour}${sign.length > LONGEST_SIGN ? " is-long" : ""}`;
    this.sign.replaceChildren(icon(form, colour, "big"), make("span", {}, sign));
    const facts = [
      sign === "UNKNOWN" ? `${word}${one.reason ? `: ${plain(one.reason)}` : ""}` : null,
      one.part_id && `Part ${one.part_id}`,
      one.score === null ? null : `score ${one.score.toFixed(1)}, rejected from 100 on`,
      `frame ${number.format(one.frame_id)}`,
      one.first_line ? `line ${number.format(one.first_line)}` : null,
      clockTime(one.created),
    ];
    this.about.replaceChildren(...facts.filter(Boolean).map((fact) => make("span", {}, fact)));
    if (one.picture) this.aged.show(one, `Frame ${one.frame_id} of camera ${this.name}, ${word.toLowerCase()}`);
  }

  tick(now) {
    const camera = this.camera;
    if (!camera) return;
    const after = camera.interval_s === null ? Infinity : Math.max(2 * camera.interval_s, LEAST_OLD_S);
    let why = null;
    if (camera.frozen_s !== null) why = "Frozen: the camera gives the same picture again and again";
    else if (["lost", "stalled", "closed", "disabled"].includes(camera.state)) why = `Old picture: camera ${camera.state}`;
    else if (camera.state === "finished") why = "Old picture: the camera has given all it had";
    this.aged.tick(now, after, why);
    this.element.classList.toggle("is-old", this.aged.element.classList.contains("is-old"));
  }
}

/* What a line counts, each with what it is a share of. */
function counts(title, told) {
  const of = (count, whole, words) => (whole ? `${percent(count / whole)} of ${number.format(whole)} ${words}` : "–");
  const cells = [
    ["Inspected", told.inspected, of(told.inspected, told.triggers, "triggers")],
    ["Good", told.good, of(told.good, told.inspected, "inspected")],
    ["Rejected", told.rejected, of(told.rejected, told.inspected, "inspected")],
    ["Unknown", told.unknown, of(told.unknown, told.inspected, "inspected")],
    ["Dropped", told.dropped, of(told.dropped, told.triggers, "triggers")],
  ];
  const colours = { Rejected: "bad", Unknown: "warn", Dropped: "warn" };
  return make("section", { class: "panel", "aria-label": title }, make("h3", {}, title),
    make("dl", { class: "counts" }, ...cells.map(([word, count, share]) =>
      make("div", { "data-count": word.toLowerCase() }, make("dt", {}, word),
        make("dd", { class: count && colours[word] ? colours[word] : "" }, number.format(count), " ", make("small", {}, share))))));
}

function sinceWords(what, told) {
  if (what === "start") return `Since start, ${dayTime(told.since)}`;
  const known = told.known_since ? `; nothing is known from before ${dayTime(told.known_since)}` : "";
  return `This shift, since ${dayTime(told.since)}${known}`;
}

/* Parts that several cameras see: the last one of each rule with its views, and what became of all. */
function partRule(rule) {
  const told = rule.last;
  const { pass, fail, undecided } = rule.counts;
  const sums = `${number.format(pass)} good, ${number.format(fail)} rejected, ${number.format(undecided)} unknown`;
  const open = rule.open ? `; ${number.format(rule.open)} wait${rule.open === 1 ? "s" : ""} for views` : "";
  const lines = [make("h4", {}, rule.rule, " ", make("small", { class: "soft" }, `by ${plain(rule.by)}: ${sums}${open}`))];
  if (!told) lines.push(make("p", { class: "soft" }, "No part was decided since start."));
  else {
    const about = [told.part_id ? `part ${told.part_id}` : told.key !== null && `${plain(rule.by)} ${told.key}`, `part verdict ${number.format(told.sequence)}`, dayTime(told.created)];
    lines.push(make("p", {}, verdictMark(told.verdict), " ", about.filter(Boolean).join(", ")));
    if (told.reason) lines.push(make("p", {}, `${plain(told.reason)}: ${told.detail}`));
    const seen = new Map(told.views.map((view) => [view.camera, view]));
    lines.push(make("ul", { class: "bar plain" }, ...rule.cameras.map((camera) => {
      const view = seen.get(camera);
      if (!view) return make("li", { class: "soft" }, `${camera}: no view`);
      return make("li", {}, make("a", { class: "chip", href: `#/result/${encodeURIComponent(view.result_id)}` }, camera), " ", verdictMark(view.verdict));
    })));
  }
  return make("section", { class: "stack", "aria-label": `Parts of ${rule.rule}`, "data-verdict": told?.verdict ?? "" }, ...lines);
}

function cell(one) {
  const view = make("div", { class: "view" });
  const link = make("a", { href: `#/result/${encodeURIComponent(one.id)}` },
    view,
    make("p", {}, verdictMark(one.verdict), make("span", {}, number.format(one.frame_id))),
    make("p", { class: "soft" }, one.reason ? plain(one.reason) : one.part_id ?? `${one.camera}, ${clockTime(one.created)}`));
  const item = make("li", { "data-verdict": one.verdict }, link);
  if (!one.picture) view.append(noPicture(one));
  else item.load = () => {
    item.load = null;
    view.replaceChildren(image(one.picture, ""), boxes(one));
  };
  return item;
}

export function show(root, page) {
  const stations = new Map();
  let results = [];
  let waiting = []; // newer ones, while the strip is paused
  let paused = false;
  let rejectsOnly = false;
  let reject = null;
  let alertedAt = -Infinity;
  let drawnParts = null;

  const place = make("div", { class: "stations" });
  const none = make("p", { class: "empty" }, "No camera has reported yet.");
  const tallies = make("div", { class: "grid" });
  const parts = make("section", { class: "panel stack", "aria-label": "Parts", hidden: true });
  const last = make("section", { class: "panel", "aria-label": "Last reject" });
  const film = make("ul", { class: "film", tabindex: "0", "aria-label": "Last results, newest first" });
  const count = make("span", { class: "soft" });
  const said = make("p", { class: "sr", role: "alert" });
  const pause = make("button", { type: "button", "aria-pressed": "false", onclick: () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", paused);
    if (!paused) merge([]);
    drawFilm();
  } }, "Pause the strip");
  const only = make("input", { type: "checkbox", onchange: () => { rejectsOnly = only.checked; drawFilm(); } });
  root.append(place, none, said, tallies, parts,
    make("section", { class: "panel", "aria-label": "Film strip" },
      make("div", { class: "bar" }, make("h3", {}, "Last results"), count, make("label", {}, only, "Rejects only"), pause), film),
    last);
  root.classList.add("stack");

  function merge(newer) {
    if (paused) waiting = [...newer, ...waiting].slice(0, KEPT);
    else {
      const known = new Map([...newer, ...waiting, ...results].map((one) => [one.id, one]));
      results = [...known.values()].sort((a, b) => b.sequence - a.sequence);
      const others = results.slice(KEPT).filter((one) => one.verdict === "fail").slice(0, KEPT);
      results = [...results.slice(0, KEPT), ...others]; // rejects stay for the switch
      waiting = [];
    }
  }

  function drawFilm() {
    const all = rejectsOnly ? results.filter((one) => one.verdict === "fail") : results;
    const seen = all.slice(0, KEPT);
    keyed(film, seen, (one) => one.id, cell);
    loadSome();
    const waits = waiting.length ? `paused, ${waiting.length}${waiting.length === KEPT ? " or more" : ""} newer` : "newest first";
    setText(count, seen.length ? waits : rejectsOnly ? "none of the last results was rejected" : "nothing yet");
  }

  function loadSome() {
    for (const item of [...film.children].filter((one) => one.load).slice(0, PICTURES_AT_ONCE)) item.load();
  }

  function drawReject(one) {
    if (!one) {
      if (!last.firstChild) last.replaceChildren(make("h3", {}, "Last reject"), make("p", { class: "soft", id: "no-reject" }, "Nothing was rejected since start."));
      return;
    }
    if (reject?.id === one.id) return;
    const view = make("div", { class: "view" }, image(one.picture, `Rejected frame ${one.frame_id}`, "eager"), boxes(one));
    if (one.width) view.style.aspectRatio = `${one.width} / ${one.height}`;
    const since = make("span");
    last.replaceChildren(make("h3", {}, "Last reject"), make("div", { class: "last-reject" },
      make("a", { href: `#/result/${encodeURIComponent(one.id)}`, "aria-label": `Look at rejected frame ${one.frame_id}` }, view),
      make("div", {}, make("p", {}, verdictMark("fail"), " ", since),
        make("p", {}, [one.part_id && `Part ${one.part_id}`, `camera ${one.camera}`, `frame ${number.format(one.frame_id)}`, dayTime(one.created)].filter(Boolean).join(", ")),
        make("p", {}, one.score === null ? "" : `Score ${one.score.toFixed(1)}, the threshold is 100; ${one.boxes.length} defect${one.boxes.length === 1 ? "" : "s"}`))));
    const first = reject === null;
    reject = { ...one, since };
    if (!first && performance.now() - alertedAt > ALERT_EVERY_MS) {
      alertedAt = performance.now();
      setText(said, `Rejected: camera ${one.camera}, frame ${one.frame_id}`);
    }
  }

  function draw(data) {
    none.hidden = data.cameras.length > 0;
    for (const camera of data.cameras) if (!stations.has(camera.name)) stations.set(camera.name, new Station(camera.name));
    keyed(place, data.cameras, (camera) => camera.name, (camera) => stations.get(camera.name).element);
    for (const camera of data.cameras) {
      const station = stations.get(camera.name);
      station.draw(camera);
      const latest = data.results.find((one) => one.camera === camera.name);
      if (latest) station.result(latest);
    }
    const tallied = [["shift", data.shift], ["start", data.start]].filter(([, one]) => one);
    tallies.replaceChildren(...tallied.map(([what, one]) => counts(sinceWords(what, one), one)));
    parts.hidden = data.parts.length === 0;
    const told = JSON.stringify(data.parts);
    if (told !== drawnParts) parts.replaceChildren(make("h3", {}, "Parts"), ...data.parts.map(partRule));
    drawnParts = told; // who has the focus on a link keeps it while nothing is new
    merge(data.results);
    drawFilm();
    drawReject(data.reject);
    tick();
  }

  function tick() {
    const now = page.now();
    for (const station of stations.values()) station.tick(now);
    loadSome();
    if (reject) setText(reject.since, age(Math.max(0, (now - Date.parse(reject.created)) / 1000)));
  }

  return { draw, tick, heard: (name, data) => name === "live" && draw(data) };
}
