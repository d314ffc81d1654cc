// Pictures of one result over each other: which is seen, how much of the evidence, as near as its pixels; and
// regions to ignore, drawn on it with the mouse or with the keyboard.

import { act } from "./act.js";
import { make, setText } from "./dom.js";
import { boxes } from "./pictures.js";

const LARGEST = 32;
const STEP = 1.5;
const PAN_PX = 60;

export class Viewer {
  constructor(data, page) {
    this.data = data;
    this.page = page;
    this.scale = 1;
    [this.x, this.y] = [0, 0];
    this.base = make("img", { alt: `Frame ${data.frame_id} of camera ${data.camera}`, draggable: "false" });
    this.over = make("img", { alt: "", hidden: true, draggable: "false" });
    this.marks = boxes(data);
    this.drawing = make("svg", { class: "boxes drawing", viewBox: `0 0 ${data.width || 1} ${data.height || 1}`, "aria-hidden": "true" });
    this.sheet = make("div", { class: "sheet" }, this.base, this.marks, this.drawing);
    this.stage = make("div", { class: "stage", tabindex: "0", role: "application", "aria-label": "Picture; plus and minus zoom, arrows move it", onkeydown: (event) => this.key(event), onwheel: (event) => this.wheel(event), onpointerdown: (event) => this.press(event) }, this.sheet);
    this.stage.style.aspectRatio = `${data.width || 4} / ${data.height || 3}`;
    this.stage.style.width = `min(100%, calc(72vh * ${(data.width || 4) / (data.height || 3)}))`;
    this.corners = null;
    const { pictures } = data;
    const kinds = [["input", "Picture"], ["restored", "Restoration"], ["heat", "Evidence"]].filter(([kind]) => pictures[kind]);
    const choice = kinds.map(([kind, word]) => make("button", { type: "button", "aria-pressed": String(kind === "input"), onclick: () => this.see(kind, choice) }, word));
    choice.forEach((button, index) => { button.dataset.kind = kinds[index][0]; });
    const opacity = make("input", { type: "range", min: "0", max: "100", value: "0", oninput: () => this.lay(opacity.value / 100) });
    const shown = make("input", { type: "checkbox", checked: true, onchange: () => this.marks.toggleAttribute("hidden", !shown.checked) });
    this.said = make("p", { class: "soft", role: "status" }, pictures.pixels ? "" : "Zoom shows at most 1,600 pixels across: this frame is not in the archive.");
    this.element = make("section", { class: "panel stack", "aria-label": "Pictures" },
      make("div", { class: "bar" }, ...choice,
        pictures.heat ? make("label", {}, "Evidence over it ", opacity) : null,
        make("label", {}, shown, "Defects"),
        make("button", { type: "button", "aria-label": "Zoom out", onclick: () => this.zoom(1 / STEP) }, "−"),
        make("button", { type: "button", "aria-label": "Zoom in", onclick: () => this.zoom(STEP) }, "+"),
        make("button", { type: "button", onclick: () => this.whole() }, "Whole"),
        make("button", { type: "button", onclick: () => this.toPixels() }, "Pixels")),
      this.stage, this.said, data.can.ignore && data.width ? this.regionBar() : null);
    if (kinds.length) this.see(kinds[0][0], choice);
  }

  see(kind, choice) {
    this.kind = kind;
    for (const button of choice) button.setAttribute("aria-pressed", String(button.dataset.kind === kind));
    this.base.src = this.data.pictures[kind];
  }

  /* The evidence over the picture. */
  lay(opacity) {
    if (!this.over.src) {
      this.over.src = this.data.pictures.heat;
      this.base.after(this.over);
    }
    this.over.hidden = opacity === 0;
    this.over.style.opacity = opacity;
  }

  whole() {
    this.scale = 1;
    [this.x, this.y] = [0, 0];
    this.place();
  }

  /* One pixel of the frame on four of the screen. */
  toPixels() {
    this.zoom(Math.max(1, (4 * this.data.width) / this.stage.clientWidth) / this.scale);
  }

  zoom(factor, at = [this.stage.clientWidth / 2, this.stage.clientHeight / 2]) {
    const scale = Math.min(LARGEST, Math.max(1, this.scale * factor));
    this.x = at[0] - ((at[0] - this.x) * scale) / this.scale;
    this.y = at[1] - ((at[1] - this.y) * scale) / this.scale;
    this.scale = scale;
    if (scale > 1.2 && this.kind === "input" && this.data.pictures.pixels) this.base.src = this.data.pictures.pixels;
    this.place();
  }

  place() {
    const [width, height] = [this.stage.clientWidth, this.stage.clientHeight];
    this.x = Math.min(0, Math.max(width * (1 - this.scale), this.x));
    this.y = Math.min(0, Math.max(height * (1 - this.scale), this.y));
    this.sheet.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
    this.sheet.classList.toggle("is-near", this.scale > 2);
  }

  wheel(event) {
    event.preventDefault();
    this.zoom(event.deltaY < 0 ? STEP : 1 / STEP, this.within(event));
  }

  key(event) {
    const moves = { ArrowLeft: [PAN_PX, 0], ArrowRight: [-PAN_PX, 0], ArrowUp: [0, PAN_PX], ArrowDown: [0, -PAN_PX] };
    if (event.key === "+" || event.key === "=") this.zoom(STEP);
    else if (event.key === "-") this.zoom(1 / STEP);
    else if (event.key in moves) {
      this.x += moves[event.key][0];
      this.y += moves[event.key][1];
      this.place();
    } else return;
    event.preventDefault();
  }

  within(event) {
    const area = this.stage.getBoundingClientRect();
    return [event.clientX - area.left, event.clientY - area.top];
  }

  /* Where on the frame, in its pixels. */
  onFrame([x, y]) {
    const { width, height } = this.data;
    const at = [(x - this.x) / this.scale / this.stage.clientWidth, (y - this.y) / this.scale / this.stage.clientHeight];
    return [Math.min(width, Math.max(0, at[0] * width)), Math.min(height, Math.max(0, at[1] * height))];
  }

  press(event) {
    const from = this.within(event);
    const begun = [this.x, this.y];
    const draws = this.corners !== null;
    const start = this.onFrame(from);
    this.stage.setPointerCapture(event.pointerId);
    const move = (later) => {
      const to = this.within(later);
      if (draws) this.rectangle(start, this.onFrame(to));
      else {
        [this.x, this.y] = [begun[0] + to[0] - from[0], begun[1] + to[1] - from[1]];
        this.place();
      }
    };
    this.stage.addEventListener("pointermove", move);
    this.stage.addEventListener("pointerup", () => this.stage.removeEventListener("pointermove", move), { once: true });
  }

  rectangle([x1, y1], [x2, y2]) {
    const [left, right, top, bottom] = [Math.min(x1, x2), Math.max(x1, x2), Math.min(y1, y2), Math.max(y1, y2)].map(Math.round);
    this.corners = [[left, top], [right, top], [right, bottom], [left, bottom]];
    this.fields.forEach((field, index) => { field.value = [left, top, right - left, bottom - top][index]; });
    this.drawRegion();
  }

  drawRegion() {
    this.drawing.replaceChildren(...(this.corners?.length ? [make("polygon", { points: this.corners.map((corner) => corner.join(",")).join(" ") })] : []));
  }

  regionBar() {
    const names = ["x", "y", "width", "height"];
    this.fields = names.map((name) => make("input", { type: "number", min: "0", max: String(name === "x" || name === "width" ? this.data.width : this.data.height), value: "0", oninput: () => this.typed() }));
    const save = make("button", { type: "button", onclick: () => this.propose(save) }, "Ignore this region from now on");
    const panel = make("div", { class: "bar", hidden: true }, ...this.fields.map((field, index) => make("label", {}, names[index], field)), save);
    const start = make("button", { type: "button", "aria-expanded": "false", onclick: () => {
      const begins = this.corners === null;
      this.corners = begins ? [] : null;
      panel.hidden = !begins;
      start.setAttribute("aria-expanded", String(begins));
      this.stage.classList.toggle("draws", begins);
      this.drawRegion();
      setText(this.said, begins ? `What lies in it counts for nothing in recipe ${this.data.recipe} of camera ${this.data.camera}.` : "");
    } }, "Ignore a region …");
    return make("div", { class: "bar" }, start, make("span", { class: "soft" }, "Then drag a rectangle over the picture, or type its corner and size in pixels."), panel);
  }

  typed() {
    const [x, y, width, height] = this.fields.map((field) => Number(field.value) || 0);
    this.corners = [[x, y], [x + width, y], [x + width, y + height], [x, y + height]];
    this.drawRegion();
  }

  async propose(button) {
    const [x, , width, height] = this.fields.map((field) => Number(field.value) || 0);
    if (!width || !height || x < 0) return setText(this.said, "Draw the region first.");
    button.disabled = true;
    try {
      setText(this.said, (await act("ignore", { camera: this.data.camera, recipe: this.data.recipe, corners: this.corners })).words);
    } catch (error) {
      setText(this.said, error.message);
    }
    button.disabled = false;
  }
}
