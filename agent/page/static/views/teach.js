// Own parts in five steps: collect, check, teach, threshold, activate. The station goes on by itself as far as it can.

import { act } from "../act.js";
import { command, labelled } from "../commands.js";
import { keyed, make, setText } from "../dom.js";
import { weighed } from "../histogram.js";
import { minutesWords } from "../pace.js";
import { image } from "../pictures.js";
import { thresholdPanel, would } from "../threshold.js";
import { icon, number, percent, plural } from "../words.js";

const STEPS = ["collect", "check", "teach", "threshold", "activate"];
const NAMES = { collect: "Collect", check: "Check", teach: "Teach", threshold: "Threshold", activate: "Activate", done: "Done" };
const SOURCES = [["camera", "the camera: only good parts are on the line now"], ["passed", "the camera: those that pass, beside production"], ["archive", "the archive: those that passed before"]];
const RATES = [0.02, 0.01, 0.005, 0.001];
const BY = [["", "calibrate the bundle that judges now: seconds"], ["nano", "train its own bundle, nano: the quickest"], ["edge", "train its own bundle, edge: it sees more, and takes hours"]];
const MINUTES = [10, 30, 60, 180, 480];
const ROLLOUT_MS = 1500;
const PARTS_MS = 2000; // between two looks at the parts that come
const needed = (rate) => Math.ceil(Math.round(((1 - rate) / rate) * 1e6) / 1e6);

export function show(root, page) {
  root.classList.add("stack");
  const stepper = make("ol", { class: "steps", "aria-label": "Steps" });
  const bar = make("progress", { "aria-label": "How far this step is", hidden: true });
  const doing = make("p", { role: "status" });
  const far = make("p", { class: "soft" });
  const trains = make("p", { class: "soft", hidden: true }, "The workshop trains beside the line, which goes first. It may be cancelled and gone on with; the bundle that judges now stays until the new one is activated.");
  const fault = make("p", { class: "bad", role: "alert" });
  const cancel = make("button", { type: "button", hidden: true, onclick: () => ask("teach_cancel", {}) }, "Cancel");
  const goOn = make("button", { type: "button", hidden: true, onclick: () => ask("teach_go_on", {}) }, "Go on");
  const latest = make("ul", { class: "film wall", "aria-label": "Parts that came last" });
  const aside = make("ul", { class: "film wall findings is-aside", "aria-label": "Parts that were taken out" });
  const findings = make("ul", { class: "film wall findings", "aria-label": "Parts to be looked at" });
  const body = make("div", { class: "stack" });
  const panel = make("section", { class: "panel stack", "aria-label": "This product" }, stepper, doing, far, bar, trains,
    make("div", { class: "bar" }, goOn, cancel), fault, findings, aside, body, latest);
  const begin = make("div");
  const byRate = make("div");
  const reads = make("p", { class: "soft", hidden: page.role === "engineer" }, "Engineers teach. You see how far it is; sign in as one to begin, go on or cancel.");
  root.classList.toggle("reads-only", page.role !== "engineer");
  root.append(reads, panel, begin, byRate);
  let tellPace = () => {}; // of the form
  let [data, drawn, formed, change, looked, timer, drawnMs] = [null, "", "", -1, null, null, 0];

  /* An act of this view; what the station refuses is said. */
  async function ask(name, values) {
    setText(fault, "");
    try {
      await act(name, values);
    } catch (error) {
      setText(fault, error.message);
    }
    await page.again();
  }

  const sort = (names, word) => ask("teach_sort", { [word]: names });
  const asked = ({ product, source, camera, wanted, target, preset, minutes }, other) => ({ product, source, camera, parts: wanted, target, preset, minutes, ...other });

  function drawSteps(state, { runs, step, problem }) {
    const at = STEPS.indexOf(state?.step ?? "collect");
    const now = state?.step === "done" ? STEPS.length : Math.max(at, runs ? STEPS.indexOf(step) : -1);
    stepper.replaceChildren(...STEPS.map((name, index) => make("li", { class: index < now ? "is-done" : "", "aria-current": index === now && state ? "step" : null },
      icon(index < now ? "check" : index === now && problem ? "alert" : "circle", index === now && problem ? "bad" : ""), `${index + 1} ${NAMES[name]}`, make("span", { class: "sr" }, index < now ? ", done" : ""))));
  }

  function drawDoing(told) {
    const state = data?.state;
    drawSteps(state, told);
    bar.hidden = !told.runs;
    if (told.of) [bar.max, bar.value] = [told.of, told.done];
    else bar.removeAttribute("value");
    cancel.hidden = !told.runs;
    goOn.hidden = told.runs || !state || ["activate", "done"].includes(state.step) || (state.step === "check" && state.checked.undecided > 0);
    const words = told.runs ? `${NAMES[told.step]} goes on.` : restWords(state);
    setText(doing, state ? `${state.product}, by ${told.who}: ${words}` : words);
    trains.hidden = !(told.runs && told.step === "teach" && state?.preset && !state.trained.sha256);
    const done = trains.hidden ? `${number.format(told.done)} of ${number.format(told.of)}` : `${number.format(told.done)} %`;
    setText(far, told.runs ? [told.of ? done : "", told.words].filter(Boolean).join(": ") : "");
    if (!told.runs && told.problem) setText(fault, told.problem);
    else if (told.runs) setText(fault, "");
  }

  function restWords(state) {
    if (!state) return data?.why ?? "Nothing was taught here yet: begin with the name of the product.";
    if (state.step === "check" && state.checked.undecided) return `${plural(state.checked.undecided, "part")} to be looked at: take them out or keep them, then go on.`;
    if (state.step === "activate") return "Look at what it promises and would change, then activate it.";
    return state.step === "done" ? rolloutWords(state) : `Next: ${NAMES[state.step]}.`;
  }

  /* The threshold goes the way of settings from afar: looked at, tried, on probation; or it went back. */
  function rolloutWords({ promised: { threshold } }) {
    const now = Object.values(data.in_force?.thresholds ?? {});
    const holds = now.length && now.every((one) => Math.abs(one - threshold) <= 1e-6 * threshold);
    const under = data.settings_state;
    if (under) return `Threshold ${threshold.toPrecision(5)}: ${under}${holds ? ", it judges, and goes back by itself if the station gets worse" : ""}.`;
    return holds ? `Threshold ${threshold.toPrecision(5)} is applied: it judges now.` : `Threshold ${threshold.toPrecision(5)} is not in force any more, or was taken back; see Model and settings for who changed what.`;
  }

  function drawFindings(state) {
    const found = state?.step === "check" && !data.doing.runs ? state.checked.findings ?? [] : [];
    const had = findings.contains(document.activeElement);
    keyed(findings, found, (one) => `${state.product} ${one.name}`, (one) => make("li", {},
      make("figure", {}, make("div", { class: "view" }, image(`api/teach/${state.product}/${encodeURIComponent(one.name)}.jpg`, one.name)),
        make("figcaption", {}, one.words)),
      make("button", { type: "button", "aria-label": `Take out ${one.name}`, onclick: () => sort([one.name], "take_out") }, "Take out"),
      make("button", { type: "button", "aria-label": `Keep ${one.name}`, onclick: () => sort([one.name], "keep") }, "Keep")));
    findings.hidden = !found.length;
    refocus(findings, had);
    return found;
  }

  /* Until the check is over, what was taken out can be put back. */
  function drawAside(state) {
    const names = state?.step === "check" && !data.doing.runs ? data.aside : [];
    const had = aside.contains(document.activeElement);
    keyed(aside, names, (name) => `${state.product} ${name}`, (name) => make("li", {},
      make("figure", {}, make("div", { class: "view" }, image(`api/teach/${state.product}/${encodeURIComponent(name)}.jpg`, name)),
        make("figcaption", {}, "Taken out")),
      make("button", { type: "button", "aria-label": `Put back ${name}`, onclick: () => sort([name], "put_back") }, "Put back")));
    aside.hidden = !names.length;
    refocus(aside, had);
  }

  /* What had the focus may be gone from the list. */
  function refocus(list, had) {
    if (had && !list.contains(document.activeElement)) (list.querySelector("button") ?? goOn).focus();
  }

  function drawLatest(state) {
    const names = state?.step === "collect" ? data.latest : [];
    keyed(latest, names, (name) => `${state.product} ${name}`, (name) => make("li", {}, make("div", { class: "view" }, image(`api/teach/${state.product}/${encodeURIComponent(name)}.jpg`, name))));
    latest.hidden = !names.length;
  }

  async function drawBody(state, found) {
    const key = JSON.stringify([state?.product, state?.step, state?.checked, state?.promised?.threshold, state?.promised?.target, data.doing.runs, state && data.parts, data.in_force?.thresholds]);
    if (key === drawn) return;
    drawn = key;
    const words = (lines) => make("ul", { class: "words" }, ...lines.map((line) => make("li", {}, line)));
    const pieces = [];
    if (state?.step === "collect") {
      pieces.push(words([`${plural(data.parts, "part")} of ${number.format(state.wanted)}, from ${plural(data.minutes, "minute")}`,
        `A rate of ${percent(state.target)} takes at least ${plural(data.needed, "independent part")}${state.preset ? " that are held back from training: collect several times as many" : ""}`,
        ...(state.source === "archive" ? [] : [`Parts of one minute are alike: at most ${Math.ceil(state.wanted / data.minutes_wanted)} of each minute are taken`])]));
    } else if (state?.step === "check" && state.checked.words) {
      pieces.push(words([`${plural(state.checked.pictures, "part")} were looked at`, ...state.checked.words]));
      if (found.length > 1) {
        pieces.push(make("div", { class: "bar" },
          make("button", { type: "button", onclick: () => sort(found.map((one) => one.name), "take_out") }, `Take these ${found.length} out`),
          make("button", { type: "button", onclick: () => sort(found.map((one) => one.name), "keep") }, `Keep these ${found.length}`)));
      }
    } else if (["activate", "done"].includes(state?.step)) {
      if (state.trained.sha256) pieces.push(trained(state.trained));
      pieces.push(...threshold(state));
    }
    body.replaceChildren(...pieces);
  }

  /* What the workshop says of the bundle that it has made. */
  function trained({ name, preset, sha256, lines }) {
    return make("details", {}, make("summary", {}, `Trained here: ${name}, ${preset}, ${sha256.slice(0, 12)}`),
      make("ul", { class: "words" }, ...lines.map((line) => make("li", {}, line))));
  }

  /* What it promises and would change; `looked` is what whoever activates has seen. */
  function threshold(state) {
    const promised = { ...state.promised, made_up: state.taught.scores };
    const now = Object.values(data.in_force?.thresholds ?? {})[0];
    if (state.step === "done") return [weighed(promised, "It was weighed before it was activated", now)];
    if (data.doing.runs) return [weighed(promised, "What it would change is looked up once this step is over", now)];
    looked = data.in_force?.settings;
    if (state.trained.sha256 && state.trained.sha256 !== data.in_force?.bundle) {
      return [weighed(promised, "Scores of another bundle tell nothing of this one. Activated, it is proven on this engine, judges on probation, and then gets its threshold; a threshold of the bundle before is taken out first", undefined, ways(state, promised))];
    }
    const place = make("div", {}, make("p", { class: "soft" }, "What it would change is looked up"));
    would(promised.threshold).then((answer) => place.replaceChildren(weighed(promised, answer, now, ways(state, promised))));
    return [place];
  }

  function ways(state, promised) {
    if (!promised.provisional) {
      return command({ name: "teach_activate", button: "Activate", twice: "Activate: yes", body: () => ({ onto: looked }), done: () => {
        page.again();
        return "";
      } });
    }
    const more = promised.parts_missing ?? promised.missing;
    const rate = Math.ceil(promised.rate * 1e4 - 1e-6) / 1e4; // up, so that it can be kept
    return make("div", { class: "bar" },
      make("button", { type: "button", onclick: () => ask("teach_begin", asked(state, { parts: Math.max(state.wanted + 1, data.parts + more) })) }, `Collect ${number.format(more)} more`),
      rate <= 0.5 ? make("button", { type: "button", onclick: () => ask("teach_begin", asked(state, { target: rate })) }, `Promise ${percent(rate)} in place of ${percent(state.target)}`) : null);
  }

  function drawForm(state) {
    const key = JSON.stringify([data.cameras, data.archived, Boolean(state), data.why_untrained]);
    if (key === formed) return tellPace();
    formed = key;
    const options = (pairs, chosen) => pairs.map(([value, word]) => make("option", { value, selected: value === chosen }, word));
    const parts = make("input", { type: "number", name: "parts", value: "250", min: "1", max: "5000", required: true });
    const rate = make("select", { name: "target" }, ...options(RATES.map((value) => [String(value), `${percent(value)}: at least ${needed(value)} parts`]), "0.005"));
    const minutes = labelled("Minutes it may take", make("select", { name: "minutes" }, ...options(MINUTES.map((value) => [String(value), number.format(value)]), "30")));
    minutes.hidden = true;
    const by = make("select", { name: "preset", onchange: () => (minutes.hidden = !by.value) }, ...options(data.why_untrained ? BY.slice(0, 1) : BY, ""));
    const sources = SOURCES.filter(([name]) => data.archived || name !== "archive");
    const pace = make("span", { class: "soft", role: "status" });
    tellPace = () => {
      const { source, camera = data.cameras[0], parts: count } = Object.fromEntries(new FormData(form));
      setText(pace, minutesWords({ source, parts: Number(count), interval_s: data.intervals_s[camera], apart: data.minutes_wanted }));
    };
    const form = command({
      name: "teach_begin", button: "Begin",
      fields: [
        labelled("Product", make("input", { type: "text", name: "product", required: true, maxlength: "64", pattern: "[a-z0-9_\\-]+", title: "a-z, 0-9, _ and -", autocapitalize: "none", autocomplete: "off" })),
        labelled("Good parts from", make("select", { name: "source" }, ...options(sources, "camera"))),
        ...(data.cameras.length > 1 ? [labelled("Camera", make("select", { name: "camera" }, ...options(data.cameras.map((name) => [name, name]))))] : []),
        labelled("How many", parts), pace,
        labelled("Good parts that may be rejected", rate),
        labelled("How it is taught", by),
        minutes,
        ...(data.why_untrained ? [make("p", { class: "soft" }, `None of its own can be trained: ${data.why_untrained}`)] : []),
      ],
      body: ({ product, source, camera = data.cameras[0] ?? "", parts: count, target, preset, minutes: most }) => ({ product, source, camera, parts: Number(count), target: Number(target), preset, minutes: Number(most) }),
      done: async () => {
        await page.again();
        return "";
      },
    });
    form.addEventListener("input", tellPace);
    tellPace();
    const title = state ? "Another product, or this one again" : "Teach a product";
    begin.replaceChildren(state ? make("details", { class: "panel" }, make("summary", {}, title), form) : make("section", { class: "panel stack", "aria-label": title }, make("h3", {}, title), form));
  }

  function draw(found) {
    data = found;
    drawnMs = performance.now();
    panel.hidden = begin.hidden = !data.can;
    if (!data.can) return root.replaceChildren(make("p", {}, "Nothing is taught at this station."));
    const state = data.state;
    change = data.doing.change;
    panel.hidden = !state && !data.why;
    drawDoing(data.doing);
    drawBody(state, drawFindings(state));
    drawAside(state);
    drawLatest(state);
    drawForm(state);
    if (data.archived && !byRate.firstChild) byRate.append(thresholdPanel(() => data.in_force?.settings));
    clearTimeout(timer);
    if (state?.step === "done") timer = setTimeout(() => document.hidden || page.again(), ROLLOUT_MS);
  }

  function heard(name, told) {
    if (name !== "teach" || !data) return;
    drawDoing(told);
    const isMore = told.step === "collect" && told.done !== data.parts && performance.now() - drawnMs > PARTS_MS;
    if (told.change !== change || isMore) page.again();
  }

  return { draw, heard, events: ["teach"], leave: () => clearTimeout(timer) };
}
