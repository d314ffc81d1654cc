// The frame of the page: which view is shown, what stands above all of them, and the stream that feeds them.
// All addresses are relative, for a proxy may serve the page below a path.

import { byId, make, setText } from "./dom.js";
import { entered } from "./entry.js";
import { Stream, ask } from "./stream.js";
import { clockTime, seconds, setIcon, stateColour, stateWord, unjudgedWords } from "./words.js";

const STALE_S = 3;
const CLOCK_OFF_S = 2;

/* By the name in the address: what it is called, and its module; those without a title are reached from others. */
const VIEWS = {
  live: { title: "Live", load: () => import("./views/live.js") },
  rejects: { title: "Rejects", load: () => import("./views/rejects.js") },
  result: { title: "Result", within: "rejects", load: () => import("./views/result.js") },
  trends: { title: "Trends", load: () => import("./views/trends.js") },
  cameras: { title: "Cameras", load: () => import("./views/cameras.js") },
  uplink: { title: "Uplink", load: () => import("./views/uplink.js") },
  model: { title: "Model and settings", load: () => import("./views/model.js") },
  teach: { title: "Teach", load: () => import("./views/teach.js") },
  doctor: { title: "Doctor", load: () => import("./views/doctor.js") },
};

let shown = null; // { name, rest, view } of what is on the screen
let turn = 0; // grows with each change of view: what an older one still asked for is thrown away
let offset = 0; // milliseconds that the station's clock is ahead of ours
let lastHeard = null;

/* The station's clock, as far as we know. */
const stationNow = () => Date.now() + offset;

/* `#/live`, `#/result/ID?camera=top`. */
function address() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...rest] = path.split("/").map(decodeURIComponent);
  return { name: name in VIEWS ? name : "live", rest, query: new URLSearchParams(query ?? "") };
}

async function go() {
  const mine = ++turn;
  const { name, rest, query } = address();
  const isMove = shown !== null;
  shown?.view.leave?.();
  shown = null;
  const module = await VIEWS[name].load();
  if (mine !== turn) return;
  const root = make("div", { class: `of-${name}` });
  const view = module.show(root, { rest, query, now: stationNow, again: anew, notice, role: person.role });
  shown = { name, rest, view };
  for (const event of view.events ?? []) stream.hear(event);
  for (const link of byId("views").children) {
    if (link.dataset.view === (VIEWS[name].within ?? name)) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  setText(byId("title"), view.title ?? VIEWS[name].title);
  byId("view").replaceChildren(root);
  if (isMove) byId("title").focus({ preventScroll: true });
  if (isMove) scrollTo(0, 0);
  await anew();
}

/* Ask for all that the view shows. */
async function anew() {
  const mine = turn;
  if (!shown) return;
  const { view, name } = shown;
  try {
    const data = await ask(view.asks?.name ?? name, view.asks?.query ?? {});
    if (mine !== turn) return;
    setText(byId("view-fault"), "");
    view.draw(data);
  } catch (error) {
    if (mine !== turn) return;
    if (!(error instanceof TypeError || error instanceof DOMException)) setText(byId("view-fault"), error.message);
  }
}

function heard(name, data) {
  if (name === "now") drawNow(data);
  shown?.view.heard?.(name, data);
}

/* One sentence to whoever looks, read out politely. */
function notice(words) {
  byId("notice").hidden = !words;
  setText(byId("notice"), words);
}

function drawHealth(state, reasons) {
  setIcon(byId("health-icon"), state);
  setText(byId("health-state"), stateWord(state));
  byId("health-state").className = stateColour(state);
  const list = byId("health-reasons");
  if (list.dataset.text === reasons.join("\n")) return;
  list.dataset.text = reasons.join("\n");
  list.replaceChildren(...reasons.map((reason) => make("li", {}, reason)));
}

function drawNow(now) {
  offset = Date.parse(now.now) - Date.now();
  lastHeard = new Date();
  setText(byId("station"), now.station);
  const model = now.model;
  const words = model && `Model ${model.bundle} (${model.sha256.slice(0, 12)}) on ${model.engine}, threshold ${model.threshold.toPrecision(4)}`;
  const rate = model?.provisional_rate;
  const kept = rate == null ? "" : `, provisional: it promises a false-reject rate of ${(100 * rate).toFixed(1)} % only`;
  setText(byId("model"), words ? words + kept : "No model loaded");
  const unjudged = unjudgedWords(now.last_minute);
  if (now.health.state === "running" && unjudged) drawHealth("partly", [unjudged]);
  else drawHealth(now.health.state, now.health.reasons);
  setText(byId("footer"), `Plumbline ${now.version}, running for ${seconds(now.up_s)} since ${clockTime(now.started)}`);
  const off = Math.abs(offset) / 1000;
  byId("clock").hidden = off <= CLOCK_OFF_S;
  if (off > CLOCK_OFF_S) setText(byId("clock"), `The station's clock is ${seconds(off)} ${offset > 0 ? "ahead of" : "behind"} this computer's; times are the station's`);
  drawControl(now.control);
  drawStale();
  document.title = `${stateWord(now.health.state)}: ${now.station}`;
}

/* While an MES commands, the page changes nothing before somebody here takes the control, for a time. */
function drawControl(control) {
  const holder = control?.held_by;
  byId("control").hidden = !control?.mes && !holder;
  byId("control-take").hidden = Boolean(holder);
  byId("control-give").hidden = holder !== person.name;
  setText(byId("control-words"), holder ? `${holder} has the control for ${seconds(control.left_s)} still` : "The MES commands this station; here nothing is changed before you take the control");
}

for (const [id, name, body] of [["control-take", "take_control", { minutes: 15 }], ["control-give", "give_back", {}]]) {
  byId(id).addEventListener("click", async () => {
    try {
      const { act } = await import("./act.js");
      drawControl(await act(name, body));
      notice("");
    } catch (error) {
      notice(error.message);
    }
  });
}

function drawStale() {
  const silence = stream.silence;
  const stale = silence > STALE_S;
  byId("stale").hidden = !stale;
  byId("main").classList.toggle("is-stale", stale);
  if (stale) {
    document.title = `No answer: ${byId("station").textContent}`;
    drawHealth("silent", []);
    const seen = lastHeard ? `What you see is from ${clockTime(lastHeard)}.` : "Nothing has been received yet.";
    setText(byId("stale"), `No answer from the agent for ${seconds(silence)}. ${seen}`);
  }
  if (!document.hidden) shown?.view.tick?.();
}

/* A choice of this browser; one that may not keep it forgets it. */
function remembered(name, value) {
  try {
    if (value === undefined) return localStorage.getItem(`plumbline-${name}`) ?? "";
    localStorage.setItem(`plumbline-${name}`, value);
  } catch {
    return "";
  }
  return value;
}

function wear(theme, lights) {
  document.documentElement.dataset.theme = theme;
  document.documentElement.dataset.lights = lights;
}

byId("views").replaceChildren(
  ...Object.entries(VIEWS)
    .filter(([, view]) => !view.within)
    .map(([name, view]) => make("a", { href: `#/${name}`, "data-view": name }, view.title)),
);
byId("theme").value = remembered("theme");
byId("lights").checked = remembered("lights") === "classic";
wear(byId("theme").value, byId("lights").checked ? "classic" : "");
byId("theme").addEventListener("change", () => wear(remembered("theme", byId("theme").value), document.documentElement.dataset.lights));
byId("lights").addEventListener("change", () => wear(byId("theme").value, remembered("lights", byId("lights").checked ? "classic" : "")));

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address names the view
  byId("main").focus();
});

const person = await entered();
const stream = new Stream(heard, anew);
addEventListener("hashchange", go);
setInterval(drawStale, 500);
ask("now").then((now) => heard("now", now), () => {});
go();
