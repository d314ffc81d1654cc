// Each camera: what it does, since when, how often it gives a picture, and what it lost.

import { command, labelled } from "../commands.js";
import { facts, keyed, make } from "../dom.js";
import { Aged } from "../pictures.js";
import { VERDICTS, duration, icon, number, plain, seconds, setIcon, stateColour, stateWord } from "../words.js";

const LEAST_OLD_S = 2;
const ASK_MS = 2000;
const DONE = {
  "reject/verdict": "Rejected by their verdict",
  "reject/no_verdict": "Rejected without a verdict",
  "reject/late_verdict": "Rejected before their verdict came",
  "reject/neighbour": "Good, and rejected with a neighbour",
  "pass/no_verdict": "Let through without a verdict",
  "pass/late_verdict": "Let through before their verdict came",
  "missed/gate": "Missed: the gate did not answer",
  "missed/too_late": "Missed: known of too late",
  "missed/untracked": "Missed: nobody knew where they were",
  "missed/stopped": "On their way when it was stopped",
};

function said(camera) {
  const counts = camera.counts;
  const driver = Object.entries(counts?.driver ?? {});
  const temperature = driver.find(([name]) => name.includes("temperature"));
  const failures = Object.entries(counts?.open_failures ?? {}).filter(([, count]) => count);
  return facts([
    ["For", seconds(camera.for_s)],
    ["Rate", camera.interval_s ? `a picture every ${camera.interval_s < 1 ? `${Math.round(camera.interval_s * 1000)} ms` : seconds(camera.interval_s)} at the longest` : "not known yet"],
    ["Judged in the last minute", number.format(camera.last_minute.judged)],
    ["Not judged in the last minute", Object.entries(camera.last_minute.unjudged).map(([why, count]) => `${count} ${plain(why)}`).join(", ") || "0"],
    ...(counts ? [
      ["Triggers since start", number.format(counts.frames)],
      ["Without a usable picture", number.format(counts.faults)],
      ["Reconnected", number.format(counts.reconnects)],
      ["Stalled", number.format(counts.stalls)],
      ["Lost", number.format(counts.losses)],
      ["Lines dropped", counts.lines_dropped ? number.format(counts.lines_dropped) : null],
      ["Could not be opened", failures.map(([why, count]) => `${count} × ${plain(why)}`).join(", ") || null],
    ] : []),
    ["Temperature", temperature ? `${temperature[1]} °C` : "not told by this camera"],
    ...driver.filter((one) => one !== temperature).map(([name, count]) => [plain(name), number.format(count)]),
  ]);
}

/* How pictures and scores stand to those of the first good parts. */
function drifted(one) {
  const calm = ["learning", "watching"].includes(one.state);
  return make("p", { class: calm ? "soft" : "warn" }, one.words ?? `Recipe ${one.recipe}: ${one.state === "learning" ? "learning its first good parts" : "pictures and scores as on its first good parts"}`);
}

/* What moves behind it: whether in time, and how late. */
function moved(one) {
  const late = one.lateness_ms;
  const calm = !one.trouble && !one.is_late;
  const state = one.trouble ? "its gate does not answer" : one.is_late ? "not every part is acted on in time" : "acts in time";
  return make("div", { class: "stack" },
    make("h4", { class: calm ? "soft" : "warn" }, `Output ${one.name}: ${state}`),
    one.trouble ? make("p", {}, one.trouble) : null,
    facts([
      ["On their way to the gate", number.format(one.under_way)],
      ["Good parts that passed", number.format(one.passed)],
      ["Gate's answer, after the part was there", late.count ? `${duration(late.p50)} in the middle, ${duration(late.p99)} for 99 of 100, ${duration(late.worst)} at worst` : "not moved yet"],
      ...Object.entries(one.counts).map(([what, count]) => [DONE[what] ?? plain(what.replace("/", ", ")), number.format(count)]),
    ]));
}

function panel(camera) {
  const aged = new Aged();
  const [said, asked] = [make("div", { class: "stack" }), make("div")];
  const element = make("section", { class: "panel stack", "aria-label": `Camera ${camera.name}` }, make("h3", {}, make("span"), " ", make("span")), aged.element, said, asked);
  return Object.assign(element, { aged, said, asked, offers: null });
}

/* Switching it off, with why, and on again. What is being typed stays. */
function offer(element, { name, state }, page) {
  const offers = state === "disabled" ? "enable" : "disable";
  if (element.offers === offers) return;
  element.offers = offers;
  const done = (words) => () => {
    setTimeout(page.again, 500);
    return words;
  };
  element.asked.replaceChildren(offers === "enable"
    ? command({ name: "enable", button: `Enable camera ${name}`, body: () => ({ camera: name }), done: done("It is opened again") })
    : command({
      name: "disable", button: `Disable camera ${name}`, twice: "Disable it: yes", body: ({ reason }) => ({ camera: name, reason }),
      fields: [labelled("Why", make("input", { type: "text", name: "reason", required: true, maxlength: "128" }))],
      done: done("It is closed, and stays so until somebody enables it"),
    }));
}

export function show(root, page) {
  const place = make("div", { class: "grid" });
  const none = make("p", { class: "empty" }, "No camera has reported yet.");
  root.append(place, none);
  let cameras = [];
  const timer = setInterval(() => document.hidden || page.again(), ASK_MS);

  function draw(data) {
    cameras = data.cameras;
    none.hidden = cameras.length > 0;
    keyed(place, cameras, (one) => one.name, panel);
    cameras.forEach((camera, index) => {
      const element = place.children[index];
      const [mark, words] = element.firstChild.children;
      const state = camera.frozen_s !== null ? "frozen" : camera.state;
      setIcon(mark, state);
      words.className = stateColour(state);
      words.textContent = `${camera.name}: ${stateWord(state).toLowerCase()}`;
      if (camera.latest) element.aged.show(camera.latest, `Frame ${camera.latest.frame_id}, ${VERDICTS[camera.latest.verdict].word.toLowerCase()}`);
      else element.aged.place.replaceChildren(make("p", { class: "no-picture" }, icon("dash", "none"), "no picture yet"));
      element.said.replaceChildren(make("p", {}, camera.words), ...camera.drift.map(drifted), said(camera), ...camera.outputs.map(moved));
      if (data.can_command) offer(element, camera, page);
    });
    tick();
  }

  function tick() {
    cameras.forEach((camera, index) => {
      const after = camera.interval_s === null ? Infinity : Math.max(2 * camera.interval_s, LEAST_OLD_S);
      let why = null;
      if (camera.frozen_s !== null) why = "Frozen: the camera gives the same picture again and again";
      else if (camera.state !== "streaming") why = `Old picture: ${camera.state}`;
      place.children[index]?.aged.tick(page.now(), after, why, ASK_MS / 1000);
    });
  }

  return { draw, tick, leave: () => clearInterval(timer) };
}
