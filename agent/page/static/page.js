"use strict";

// The page asks for api/state once a second and changes only what differs. Text goes in through
// textContent alone, so nothing that a camera or a message is called can become markup. All addresses
// are relative, for a proxy may serve the page below a path.

const POLL_MS = 1000;
const STALE_MS = 3000;
const byId = (id) => document.getElementById(id);
const number = new Intl.NumberFormat("en-US");

const ICONS = {
  check: "M3 8.5l3.2 3.2L13 4.5",
  cross: "M4 4l8 8M12 4l-8 8",
  question: "M5.2 5.6a2.8 2.8 0 1 1 4 2.5c-.9.5-1.2 1-1.2 2M8 13v.1",
  dash: "M3.5 8h9",
  dot: "M8 5.2a2.8 2.8 0 1 1 0 5.6a2.8 2.8 0 1 1 0-5.6",
  alert: "M8 2.5l6 11H2zM8 7v2.6M8 11.6v.1",
  ring: "M8 3v2.5M8 10.5V13M3 8h2.5M10.5 8H13",
};
const VERDICTS = {
  pass: ["Pass", "check", "good"],
  fail: ["Fail", "cross", "bad"],
  undecided: ["Undecided", "question", "warn"],
  skipped: ["Skipped", "dash", "none"],
};
const STATES = {
  running: ["Running", "check", "good"],
  partly: ["Running", "alert", "warn"],
  degraded: ["Degraded", "alert", "bad"],
  starting: ["Starting", "ring", "warn"],
  silent: ["No answer", "alert", "bad"],
  streaming: ["Streaming", "check", "good"],
  unjudged: ["Streaming", "alert", "warn"],
  connected: ["Connected", "check", "good"],
  connecting: ["Connecting", "ring", "warn"],
  closed: ["Closed", "ring", "warn"],
  opening: ["Opening", "ring", "warn"],
  stalled: ["Stalled", "alert", "bad"],
  lost: ["Lost", "alert", "bad"],
  finished: ["Finished", "dash", "none"],
  disabled: ["Disabled", "dash", "warn"],
};

const UNITS = [["ms", 1], ["s", 1000], ["min", 60_000], ["h", 3_600_000]];

let shown = new Map(); // result_id to reject, newest first
let selected = null;
let answeredAt = performance.now();
let lastAnswer = null;

function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "path", "rect"].includes(tag);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function icon(name, colour) {
  return make("svg", { class: `icon ${colour}`, viewBox: "0 0 16 16", "aria-hidden": "true" }, make("path", { d: ICONS[name] }));
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function setIcon(element, state) {
  if (element.dataset.state === state) return;
  element.dataset.state = state;
  element.replaceChildren(icon(STATES[state][1], STATES[state][2]));
}

/* At most three digits, and the first unit in which that can be. */
function duration(milliseconds) {
  if (milliseconds === null) return ["–", ""];
  const [unit, scale] = UNITS.find(([, scale]) => milliseconds < 999.5 * scale) ?? UNITS.at(-1);
  const value = milliseconds / scale;
  return [value.toFixed(value < 9.95 ? 1 : 0), unit];
}

/* 0 and 100 are said only of none and all. */
function percent(ratio) {
  if (ratio > 0 && ratio < 0.01) return "< 1 %";
  return ratio > 0.99 && ratio < 1 ? "> 99 %" : `${(100 * ratio).toFixed(0)} %`;
}

function unjudgedWords(minute) {
  const count = Object.values(minute.unjudged).reduce((sum, one) => sum + one, 0);
  return count ? `${number.format(count)} of ${number.format(count + minute.judged)} frames of the last minute not judged` : "";
}

function seconds(value) {
  if (value < 60) return `${value.toFixed(0)} s`;
  if (value < 3600) return `${Math.floor(value / 60)} min ${Math.floor(value % 60)} s`;
  return `${Math.floor(value / 3600)} h ${Math.floor((value % 3600) / 60)} min`;
}

function clockTime(moment) {
  const time = new Date(moment);
  const day = time.toDateString() === new Date().toDateString() ? "" : `${time.toLocaleDateString("en-CA")} `;
  return day + time.toLocaleTimeString("en-GB");
}

/* Keep the children of `parent` equal to `items` in order; `build` runs once for each new key. */
function keyed(parent, items, keyOf, build) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  items.forEach((item, index) => {
    const key = keyOf(item);
    let child = old.get(key);
    old.delete(key);
    if (!child) {
      child = build(item);
      child.dataset.key = key;
    }
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
  });
  for (const child of old.values()) child.remove();
}

/* The boxes of defects in frame pixels, never too small to be seen; drawn where `object-fit` puts the picture. */
function boxes(frame) {
  const overlay = make("svg", { viewBox: `0 0 ${frame.width} ${frame.height}`, "aria-hidden": "true" });
  const least = Math.max(frame.width, frame.height) * 0.04;
  for (const [x, y, width, height] of frame.boxes) {
    const w = Math.max(width, least);
    const h = Math.max(height, least);
    const place = { x: x + (width - w) / 2, y: y + (height - h) / 2, width: w, height: h };
    overlay.append(make("rect", { ...place, class: "edge" }), make("rect", place));
  }
  return overlay;
}

/* The agent keeps a picture for a while only; a lazy one is asked for when it comes into sight. */
function image(address, alt, loading) {
  const element = make("img", { alt, loading, decoding: "async" });
  element.addEventListener("error", () => element.replaceWith(make("p", { class: "no-picture" }, "no longer kept")));
  element.src = address;
  return element;
}

function stripItem(frame) {
  const [word, symbol, colour] = VERDICTS[frame.verdict];
  const view = make("div", { class: `view ${colour}` });
  if (frame.image) {
    const count = frame.boxes.length;
    const defects = frame.verdict === "skipped" ? "not judged" : `${count} defect${count === 1 ? "" : "s"}`;
    const alt = `Frame ${frame.frame_id}, ${word.toLowerCase()}, ${defects}`;
    view.append(image(frame.image, alt, "eager"), boxes(frame));
  } else {
    view.append(make("p", { class: "no-picture" }, "no picture"));
  }
  const label = make("p", {}, icon(symbol, colour), make("span", { class: colour }, word));
  label.append(make("span", { class: "frame-id" }, number.format(frame.frame_id)));
  const place = frame.reason ? frame.reason.replaceAll("_", " ") : frame.first_line ? `line ${number.format(frame.first_line)}` : "";
  return make("li", {}, view, label, make("p", { class: "place" }, place));
}

function cameraPanel(camera) {
  const title = `camera-${camera.name}`;
  return make(
    "section",
    { class: "camera", "aria-labelledby": title },
    make("h3", { class: "camera-state", id: title }, make("span"), make("span")),
    make("ul", { class: "strip", tabindex: "0", "aria-label": `Last frames of camera ${camera.name}, newest first` }),
  );
}

function drawCamera(panel, camera) {
  const [symbol, words] = panel.querySelector("h3").children;
  const unjudged = unjudgedWords(camera.last_minute);
  setIcon(symbol, camera.state === "streaming" && unjudged ? "unjudged" : camera.state);
  setText(words, unjudged ? `${camera.words}; ${unjudged}` : camera.words);
  const strip = panel.querySelector(".strip");
  strip.classList.toggle("strip-wide", camera.strip.some((frame) => frame.width > 2 * frame.height));
  keyed(strip, camera.strip, (frame) => frame.result_id, stripItem);
}

function view(reject, address, caption, withBoxes) {
  const frame = make("div", { class: "view" });
  frame.style.aspectRatio = `${reject.width} / ${reject.height}`;
  if (address) frame.append(image(address, `${caption} of frame ${reject.frame_id}`, "lazy"));
  else frame.append(make("p", { class: "no-picture" }, `no ${caption.toLowerCase()}`));
  if (withBoxes) frame.append(boxes(reject));
  return make("figure", {}, frame, make("figcaption", {}, caption));
}

function scoreBar(score) {
  const value = score.normalized;
  const fill = make("i");
  fill.style.width = `${Math.min(Math.max(value, 0), 200) / 2}%`;
  const meter = make(
    "div",
    {
      class: value >= 100 ? "meter over" : "meter",
      role: "meter",
      "aria-label": "Score",
      "aria-valuemin": 0,
      "aria-valuemax": 200,
      "aria-valuenow": Math.min(value, 200),
      "aria-valuetext": `${value.toFixed(1)}, the threshold is 100`,
    },
    fill,
    make("b"),
  );
  const ticks = make("div", { class: "ticks", "aria-hidden": "true" });
  ticks.append(make("span", {}, "0"), make("span", {}, "100 = threshold"), make("span", {}, value > 200 ? "200 ›" : "200"));
  return make("div", { class: "score" }, meter, make("strong", {}, value.toFixed(1)), ticks);
}

function rejectCard(reject, open) {
  const [word, symbol, colour] = VERDICTS[reject.verdict];
  const head = make("div", { class: "reject-head" });
  const title = make("h3", { class: colour }, icon(symbol, colour), make("span", {}, word));
  if (reject.reason) title.append(make("span", { class: "soft" }, reject.reason.replaceAll("_", " ")));
  head.append(title, make("time", { datetime: reject.created, title: reject.created }, clockTime(reject.created)));
  head.append(make("span", { class: "soft" }, `${reject.camera}, frame ${number.format(reject.frame_id)}`));
  const part = reject.part_id ? `Part ${reject.part_id}` : open ? `Record ${number.format(reject.sequence)}` : "";
  head.append(make("span", { class: "part" }, part));

  const triple = make("div", { class: reject.width > 2.2 * reject.height ? "triple wide" : "triple" });
  triple.append(view(reject, reject.input, "Input", true), view(reject, reject.restored, "Restoration", false));
  triple.append(view(reject, reject.heat, "Evidence", false));
  const pictures = make(open ? "button" : "div", { class: "open" }, triple);
  if (open) {
    pictures.type = "button";
    const label = `Enlarge ${word.toLowerCase()} of ${clockTime(reject.created)}, frame ${reject.frame_id}:`;
    pictures.prepend(make("span", { class: "sr" }, label));  // with what is seen in it, this is its name
    pictures.addEventListener("click", open);
  }

  const card = make("article", { class: "reject" }, head, pictures);
  const facts = make("div", { class: "facts" });
  if (reject.score) {
    card.append(scoreBar(reject.score));
    facts.append(make("span", {}, `Raw ${reject.score.raw.toPrecision(4)}, threshold ${reject.score.threshold.toPrecision(4)}`));
  }
  const count = reject.boxes.length;
  facts.append(make("span", {}, `${count} defect${count === 1 ? "" : "s"}${count ? `, ${number.format(reject.area_px)} px` : ""}`));
  if (reject.detail) facts.append(make("span", {}, reject.detail));
  if (!open) facts.append(make("span", { class: "mono" }, reject.result_id));
  card.append(facts);
  return card;
}

function enlarge(resultId) {
  const reject = shown.get(resultId) ?? selected;
  if (!reject) return;
  selected = reject;
  setText(byId("viewer-title"), `Record ${number.format(reject.sequence)}`);
  byId("viewer-body").replaceChildren(rejectCard(reject, null));
  drawNeighbours();
  if (!byId("viewer").open) byId("viewer").showModal();
}

function neighbour(step) {
  const ids = [...shown.keys()];
  const at = selected ? ids.indexOf(selected.result_id) : -1;
  return at < 0 ? undefined : ids[at + step];
}

function drawNeighbours() {
  byId("newer").disabled = neighbour(-1) === undefined;
  byId("older").disabled = neighbour(1) === undefined;
}

function go(step) {
  const next = neighbour(step);
  if (next !== undefined) enlarge(next);
}

/* A number and its small words, which stay on one line. */
function figure(value, words) {
  return make("span", { class: "figure" }, value, value && words ? " " : "", make("small", {}, words));
}

function drawNumbers(state) {
  for (const name of Object.keys(VERDICTS)) setText(byId(name), number.format(state.verdicts[name]));
  const ratio = state.reject_ratio;
  setText(byId("reject-rate"), ratio === null ? "–" : `${(100 * ratio).toFixed(ratio < 0.1 ? 2 : 1)} %`);
  for (const [id, latency] of [["recorded", state.latency_ms.capture_to_recorded], ["infer", state.latency_ms.infer]]) {
    const [[p50, p50Unit], [p99, p99Unit]] = [duration(latency.p50), duration(latency.p99)];
    byId(id).replaceChildren(figure(p50, `${p50Unit} p50`), " ", figure(p99, `${p99Unit} p99`));
  }
  const { rows, oldest_s: oldest } = state.outbox;
  byId("outbox").replaceChildren(figure(number.format(rows), rows ? "" : "waiting"), ...(rows ? [" ", figure("", `oldest ${seconds(oldest)}`)] : []));
  const judged = state.last_minute.judged_ratio;
  setText(byId("judged"), judged === null ? "–" : percent(judged));
  byId("judged").className = judged !== null && judged < 1 ? "warn" : "";
  setIcon(byId("broker-icon"), state.broker.state);
  setText(byId("broker"), state.broker.words);
}

function drawHealth(state, reasons) {
  const [word, , colour] = STATES[state];
  setIcon(byId("health-icon"), state);
  setText(byId("health-state"), word);
  byId("health-state").className = colour;
  const list = byId("health-reasons");
  if (list.dataset.text === reasons.join("\n")) return;
  list.dataset.text = reasons.join("\n");
  list.replaceChildren(...reasons.map((reason) => make("li", {}, reason)));
}

function draw(state) {
  document.title = `${STATES[state.health.state][0]}: ${state.station}`;
  setText(byId("station"), state.station);
  const model = state.model;
  const words = model && `Model ${model.bundle} (${model.sha256.slice(0, 12)}) on ${model.engine}, threshold ${model.threshold.toPrecision(4)}`;
  const rate = model?.provisional_rate;
  const kept = rate == null ? "" : `, provisional: it promises a false-reject rate of ${(100 * rate).toFixed(1)} % only`;
  setText(byId("model"), words ? words + kept : "No model loaded");
  const unjudged = unjudgedWords(state.last_minute);
  if (state.health.state === "running" && unjudged) drawHealth("partly", [unjudged]);
  else drawHealth(state.health.state, state.health.reasons);
  drawNumbers(state);

  keyed(byId("cameras"), state.cameras, (camera) => camera.name, cameraPanel);
  state.cameras.forEach((camera, index) => drawCamera(byId("cameras").children[index], camera));
  byId("no-camera").hidden = state.cameras.length > 0;

  shown = new Map(state.rejects.map((reject) => [reject.result_id, reject]));
  keyed(byId("rejects"), state.rejects, (reject) => reject.result_id, (reject) => rejectCard(reject, () => enlarge(reject.result_id)));
  byId("no-reject").hidden = state.rejects.length > 0;
  drawNeighbours();
  setText(byId("footer"), `Plumbline ${state.version}, running for ${seconds(state.up_s)} since ${clockTime(state.started)}`);
}

function drawStale() {
  const silent = performance.now() - answeredAt;
  const stale = silent > STALE_MS;
  byId("stale").hidden = !stale;
  byId("main").classList.toggle("is-stale", stale);
  if (!stale) return;
  document.title = `No answer: ${byId("station").textContent}`;
  drawHealth("silent", []);
  const age = lastAnswer ? `What you see is from ${clockTime(lastAnswer)}.` : "Nothing has been received yet.";
  setText(byId("stale"), `No answer from the agent for ${seconds(silent / 1000)}. ${age}`);
}

async function poll() {
  try {
    const answer = await fetch("api/state", { cache: "no-store", signal: AbortSignal.timeout(STALE_MS) });
    if (!answer.ok) throw new Error(`api/state answered ${answer.status}`);
    const state = await answer.json();
    answeredAt = performance.now();
    lastAnswer = new Date();
    draw(state);
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof DOMException)) console.error(error);
  }
  drawStale();
  setTimeout(poll, POLL_MS);
}

byId("close").addEventListener("click", () => byId("viewer").close());
byId("newer").addEventListener("click", () => go(-1));
byId("older").addEventListener("click", () => go(1));
byId("viewer").addEventListener("click", (event) => event.target === byId("viewer") && byId("viewer").close());
byId("viewer").addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") go(-1);
  if (event.key === "ArrowRight") go(1);
});
setInterval(drawStale, 500);
poll();
