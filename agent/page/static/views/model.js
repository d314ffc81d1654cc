// What judges, by which settings, who changed them, and the ways back.

import { command, labelled } from "../commands.js";
import { facts, keyed, make, table } from "../dom.js";
import { proofPanel } from "../proofs.js";
import { ask } from "../stream.js";
import { dayTime, duration, number, plain, plural } from "../words.js";

const ASK_MS = 10_000;
const DIGEST = /^[0-9a-f]{64}$/;
const said = (value) => (DIGEST.test(value) ? value.slice(0, 12) : value === null || value === undefined ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value));
const pairs = (values) => values.first === true ? "the first that is known here" : Object.entries(values).map(([name, value]) => `${plain(name)}: ${said(value)}`).join("; ") || "–";
const panel = (title, ...children) => make("section", { class: "panel stack", "aria-label": title }, make("h3", {}, title), ...children);

function whatIf(found) {
  return make("div", { class: "stack" }, make("ul", {}, ...found.words.map((words) => make("li", {}, words))),
    make("p", {}, `Of ${number.format(found.results)} results ${number.format(found.rejects_now)} are rejects now, and ${number.format(found.rejects_then)} would be.`));
}

function learned(found, again) {
  const names = [...found.rows.map((row) => row.label), "unknown"];
  return make("div", { class: "stack" }, make("ul", { class: "words" }, ...found.words.map((words) => make("li", {}, words))),
    table("What each would be called by all others", ["Label", "Marks", ...names], found.rows.map((row) => [row.label, number.format(row.count), ...names.map((name) => row.told[name] ? number.format(row.told[name]) : "")])),
    command({ name: "use_labels", button: "Use these labels", twice: "Use them: yes", body: () => ({ recipe: found.recipe, sha256: found.sha256 }),
      done: ({ words }) => again(words)() }));
}

export function show(root, page) {
  root.classList.add("stack");
  const timer = setInterval(() => document.hidden || page.again(), ASK_MS);
  const serves = make("section", { class: "panel", "aria-label": "What judges" });
  const cameras = make("div");
  const commands = make("div", { class: "stack" });
  const settings = make("div");
  const changes = make("div");
  const proofs = make("div", { id: "proofs" });
  const section = make("section", { id: "proofs-section", "aria-label": "Proofs of bundles", hidden: true },
    make("div", { class: "bar" }, make("h3", {}, "Proofs of bundles"), make("span", { class: "soft" }, "newest first")), proofs);
  root.append(serves, cameras, commands, settings, changes, section);
  let known = ""; // what the commands were drawn for: what is being typed stays
  let told = "";
  let drawn = ""; // the newest change
  let inForce = {};
  let looked = null; // the settings that a threshold was weighed by

  function drawCommands({ in_force: now }) {
    const key = JSON.stringify([now.paused, now.recipe, now.recipes]);
    if (key === known) return;
    known = key;
    const again = (words) => () => {
      setTimeout(page.again, 500);
      return words;
    };
    const hold = now.paused;
    const onlyReason = make("input", { type: "text", name: "reason", required: true, maxlength: "128" });
    const names = now.recipes.map((name) => make("option", { value: name, selected: name === now.recipe }, name));
    const value = make("input", { type: "number", name: "threshold", step: "any", min: "0.000001", required: true });
    const set = command({
      name: "threshold", button: "Set this threshold", twice: "Set it: yes",
      body: () => ({ threshold: Number(value.value), onto: looked }),
      done: again("It is in force once it has been checked and tried"),
    });
    set.hidden = true;
    value.addEventListener("input", () => {
      set.hidden = true;
    });
    const weigh = command({
      name: "what_if", button: "What would it change?", fields: [labelled("Raw score at which a frame fails", value)],
      body: () => ({ threshold: Number(value.value) }),
      done: (found) => {
        set.hidden = false;
        return whatIf(found);
      },
    });
    weigh.addEventListener("submit", () => {
      looked = inForce.settings;
    });
    const offered = make("div");
    const labels = command({
      name: "learn_labels", button: "Learn labels from marks", body: ({ of = "default" }) => ({ recipe: of }),
      fields: names.length ? [labelled("Of recipe", make("select", { name: "of" }, ...now.recipes.map((name) => make("option", { value: name, selected: name === now.recipe }, name))))] : [],
      done: (found) => {
        offered.replaceChildren(learned(found, again));
        return "Nothing is changed yet";
      },
    });
    commands.replaceChildren(
      panel(hold ? `Paused since ${dayTime(hold.since)} by ${hold.who}: ${hold.reason}` : "Pause",
        make("p", { class: "soft" }, hold ? "Each trigger is recorded as dropped until somebody resumes." : "Cameras go on; each trigger is recorded as dropped, also after a restart, until somebody resumes."), hold
        ? command({ name: "resume", button: "Judge again", body: () => ({}), done: again("It judges again") })
        : command({ name: "pause", button: "Pause", fields: [labelled("Why", onlyReason)], done: again("It is paused") })),
      panel("Threshold", weigh, set),
      panel("Labels of defects", labels, offered),
      ...(names.length ? [panel("Recipe", command({
        name: "recipe", button: "Switch", fields: [labelled("From the next part on", make("select", { name: "recipe" }, make("option", { value: "" }, "what the settings say"), ...names))],
        body: ({ recipe = null }) => ({ recipe }), done: again("Switched"),
      }))] : []),
      panel("Bundle before", make("p", { class: "soft" }, "It is proven on this machine and on probation first; the line goes on meanwhile."), command({
        name: "rollback", button: "Go back to the bundle before", twice: "Go back: yes",
        fields: [labelled("Why", make("input", { type: "text", name: "reason", required: true, maxlength: "128" }))],
        done: ({ state }) => `The way back has begun: ${plain(state)}`,
      })),
    );
  }

  function drawHistory(history, attempted) {
    const rows = history.map((one) => [
      dayTime(one.since), one.issuer ? `${one.source}, ${one.issuer}` : one.source,
      one.differs.map((row) => `${row.member}: ${said(row.was)} → ${said(row.now)}`).join("; ") || "–",
      one.is_current ? "in force" : command({
        name: "revert", button: "Go back", twice: "Go back: yes", body: () => ({ snapshot: one.snapshot }),
        done: ({ words }) => words,
      }),
    ]);
    const active = history.find((one) => one.is_current);
    settings.replaceChildren(...(rows.length ? [panel("Settings",
      facts([["Active since", active && `${dayTime(active.since)}, ${active.source}`],
        ["Last document", attempted && `${plain(said(attempted.state))}${attempted.errors?.length ? `: ${attempted.errors.map((one) => one.message ?? said(one)).join("; ")}` : ""}`]]),
      table("What was in force", ["Since", "From", "What differs from the one before", "Way back"], rows))] : []));
  }

  async function drawChanges() {
    const found = await ask("changes");
    const newest = JSON.stringify(found.changes[0]);
    if (newest === drawn) return;
    drawn = newest;
    changes.replaceChildren(...(found.changes.length ? [panel("Who changed what", table("Changes, the newest first",
      ["When", "Who", "By", "What", "Wanted", "Before", "After"],
      found.changes.map((one) => [dayTime(one.at), one.who, one.way, `${plain(one.what)}${one.outcome === "done" ? "" : `, ${one.outcome}`}${one.unlisted ? `, after ${number.format(one.unlisted)} more like it` : ""}`, pairs(one.wanted), pairs(one.before), pairs(one.after)])),
      found.turned_out ? make("p", { class: "soft" }, `${plural(found.turned_out, "older change")} made room for those that followed.`) : null)] : []));
  }

  function draw(data) {
    const { model, infer_ms: infer, proofs: found, in_force: now } = data;
    serves.replaceChildren(make("h3", {}, model ? `Model ${model.bundle}` : "No model is loaded"), ...(model ? [facts([
      ["Digest", make("span", { class: "mono" }, model.sha256)],
      ["Engine", model.engine],
      ["Threshold, raw score", model.threshold.toPrecision(4)],
      ["It promises a false-reject rate of", model.provisional_rate === null ? null : `${(100 * model.provisional_rate).toFixed(1)} % only: provisional`],
      ["Recipe", now?.recipe],
      ["Digest of the settings", now && make("span", { class: "mono" }, now.settings)],
      ["Time in the engine, middle", duration(infer.p50)],
      ["Time in the engine, 99 of 100", duration(infer.p99)],
    ])] : []));
    cameras.replaceChildren(...(now?.cameras.length > 1 ? [panel("By camera", table("What judges each camera", ["Camera", "Bundle", "Digest", "Engine", "Threshold"],
      now.cameras.map((one) => [one.camera, one.bundle, one.bundle_sha256.slice(0, 12), one.engine, one.threshold.toPrecision(4)])))] : []));
    inForce = now ?? {};
    if (now && data.can_command) drawCommands(data);
    const key = JSON.stringify([data.history, data.attempted]);
    if (key !== told) drawHistory(data.history, data.attempted);
    told = key;
    drawChanges().catch(() => {}); // the next look comes in ten seconds
    keyed(proofs, found, (proof) => `${proof.candidate.sha256} ${proof.at}`, proofPanel);
    section.hidden = found.length === 0;
  }

  return { draw, leave: () => clearInterval(timer) };
}
