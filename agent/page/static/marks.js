// What people say of a result: right or wrong, with a label, at one key press; and back again.
// Labels are text that others typed: they become text nodes and values, never markup.

import { act } from "./act.js";
import { make, setText } from "./dom.js";

const KEYS_OFF = "plumbline-mark-keys-off";
/* By verdict, what the two words mean, and which of them says that the part has a defect. */
const MEANS = {
  pass: { right: "it is good", wrong: "a defect was missed", defective: "wrong" },
  fail: { right: "it is a defect", wrong: "it is good", defective: "right" },
  undecided: { right: "it cannot be told", wrong: "it is good", defective: "wrong" },
};

const capital = (word) => word[0].toUpperCase() + word.slice(1);
const isTyped = (target) => target instanceof Element && target.closest("input:not([type=checkbox]), select, textarea") !== null;

export function markWords(mark) {
  if (!mark) return "";
  const label = mark.label ? ` (${mark.label})` : "";
  return `${mark.says === "right" ? "Right" : "Wrong"}${label}, says ${mark.who}`;
}

/* The mark as views show it, from the answer of the station. */
const shown = (mark) => (mark.says === "taken_back" ? null : mark);

async function say(id, verdict, { says, label, index }) {
  const told = await act("mark", { result_id: id, says, ...(label ? { label } : {}), ...(Number.isInteger(index) ? { defect_index: index } : {}) });
  return { mark: shown(told.mark), words: capital(told.words), was: told.was && told.was.says !== "taken_back" ? told.was : null };
}

/* The word before once more; where there was none the mark is taken back. */
const undone = (was) => (was ? { says: was.says, label: was.label, index: was.defect_index } : { says: "taken_back" });

/* What a key says of a result; null for keys that say nothing. */
function meant(event, verdict, labels) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || isTyped(event.target)) return null;
  const key = event.key.toLowerCase();
  if (key === "r") return { says: "right" };
  if (key === "w") return { says: "wrong" };
  const label = /^[1-9]$/.test(key) ? labels[Number(key) - 1] : undefined;
  return label ? { says: MEANS[verdict].defective, label } : null;
}

function keysAreOff(off) {
  try {
    if (off !== undefined) localStorage.setItem(KEYS_OFF, off ? "1" : "");
    return localStorage.getItem(KEYS_OFF) === "1";
  } catch {
    return off ?? false;
  }
}

/* The panel of one result. */
export function markPanel(data) {
  if (!data.can.mark) return null;
  const means = MEANS[data.verdict];
  const state = make("p", {}, markWords(data.mark) || "Nobody has said yet whether this is right.");
  const out = make("p", { role: "status" });
  const undo = make("button", { type: "button", disabled: true, "aria-keyshortcuts": "U", onclick: () => back() }, "Undo (U)");
  const text = make("input", { type: "text", maxlength: "48", autocomplete: "off", list: "mark-labels", name: "label" });
  const index = make("select", {}, make("option", { value: "" }, "all defects"), ...data.defects.map((one) => make("option", { value: String(one.index) }, `defect ${one.index + 1}`)));
  const keys = make("input", { type: "checkbox", checked: !keysAreOff(), onchange: () => keysAreOff(!keys.checked) });
  let labels = data.labels;
  let before = null; // what undo goes back to
  let busy = false;
  const chips = make("div", { class: "bar chips" });
  const known = make("datalist", { id: "mark-labels" });

  function drawLabels() {
    known.replaceChildren(...labels.map((label) => make("option", { value: label })));
    chips.replaceChildren(...labels.map((label, at) => make("button", { type: "button", "aria-keyshortcuts": String(at + 1), onclick: () => mark({ says: means.defective, label }) }, `${at + 1} ${label}`)));
    chips.hidden = labels.length === 0;
  }

  async function mark(wanted, isBack = false) {
    if (busy) return;
    busy = true;
    try {
      const chosen = data.defects.length > 1 && index.value !== "" && wanted.label && !isBack ? { index: Number(index.value) } : {};
      const told = await say(data.id, data.verdict, { ...wanted, ...chosen });
      setText(state, markWords(told.mark) || "Nobody has said yet whether this is right.");
      setText(out, told.words);
      before = isBack ? null : { was: told.was };
      undo.disabled = isBack;
      if (wanted.label && !labels.includes(wanted.label)) labels = [...labels, wanted.label].slice(-9); // others keep their digits
      if (wanted.label && !chips.contains(document.activeElement)) drawLabels();
      text.value = "";
    } catch (error) {
      setText(out, error.message);
    }
    busy = false;
  }

  const back = () => before && mark(undone(before.was), true);
  const form = make("form", { class: "bar", onsubmit: (event) => {
    event.preventDefault();
    const label = text.value.trim();
    if (label) mark({ says: means.defective, label });
    else setText(out, "Type a label first.");
  } }, make("label", {}, "Defect of label ", text), data.defects.length > 1 ? make("label", {}, "of ", index) : null, make("button", { type: "submit" }, "Mark"), known);
  const panel = make("section", { class: "panel stack", "aria-label": "Is it right?" }, make("h3", {}, "Is it right?"), state,
    make("div", { class: "bar" },
      ...["right", "wrong"].map((says) => make("button", { type: "button", "aria-keyshortcuts": says[0].toUpperCase(), onclick: () => mark({ says }) }, `${capital(says)}: ${means[says]} (${says[0].toUpperCase()})`)), undo),
    chips, form, make("label", {}, keys, " Keys R, W, U and 1 to 9"), out);
  document.addEventListener("keydown", function pressed(event) {
    if (!panel.isConnected) return document.removeEventListener("keydown", pressed);
    if (!keys.checked) return;
    const wanted = meant(event, data.verdict, labels);
    if (wanted) mark(wanted);
    else if (event.key.toLowerCase() === "u" && !isTyped(event.target) && !event.ctrlKey && !event.metaKey && !event.altKey) back();
    else return;
    event.preventDefault();
  });
  drawLabels();
  return panel;
}

/* Marks on the cards of a list, by their buttons or, while the focus is on a card, by its keys. */
export class MarkList {
  constructor() {
    this.labels = [];
    this.before = null;
    this.out = make("span", { role: "status" });
    this.undo = make("button", { type: "button", hidden: true, onclick: () => this.back() }, "Undo");
    this.hint = make("span", { class: "soft", hidden: true });
    this.element = make("div", { class: "bar" }, this.hint, this.out, this.undo);
  }

  /* `data` is that of the view. */
  know(data) {
    this.can = data.can.mark;
    this.labels = data.labels;
    this.hint.hidden = !this.can;
    setText(this.hint, `On a card: R right, W wrong${this.labels.map((label, at) => `, ${at + 1} ${label}`).join("")}`);
  }

  /* What stands on one card; `say` asks the station. */
  foot(one) {
    if (!this.can || !(one.verdict in MEANS)) return null;
    const name = one.part_id ? `part ${one.part_id}` : one.created;
    const says = (word) => make("button", { type: "button", "aria-label": `${capital(word)}: ${MEANS[one.verdict][word]}, ${name}`, onclick: () => this.mark(one, { says: word }) }, capital(word));
    return make("div", { class: "says" }, says("right"), says("wrong"));
  }

  async mark(one, wanted, isBack = false) {
    try {
      const told = await say(one.id, one.verdict, wanted);
      one.mark = told.mark;
      setText(this.out, told.words);
      this.before = isBack ? null : { one, was: told.was };
      this.undo.hidden = isBack;
      this.changed?.(one);
    } catch (error) {
      setText(this.out, error.message);
    }
  }

  back() {
    if (this.before) this.mark(this.before.one, undone(this.before.was), true);
  }

  /* Of a card that has the focus. */
  key(event, one) {
    const wanted = this.can && one.verdict in MEANS ? meant(event, one.verdict, this.labels) : null;
    if (wanted) this.mark(one, wanted);
    else if (event.key.toLowerCase() === "u" && this.before && !event.ctrlKey && !event.metaKey) this.back();
    else return;
    event.preventDefault();
  }
}
