// Pictures with what belongs on and beside them: boxes of defects, and how old they are.

import { make, setText } from "./dom.js";
import { age, icon, seconds } from "./words.js";

/* The boxes of defects in frame pixels, never too small to be seen; drawn where `object-fit` puts the picture. */
export function boxes(frame) {
  const overlay = make("svg", { class: "boxes", viewBox: `0 0 ${frame.width} ${frame.height}`, "aria-hidden": "true" });
  const least = Math.max(frame.width, frame.height) * 0.04;
  for (const [x, y, width, height] of frame.boxes) {
    const w = Math.max(width, least);
    const h = Math.max(height, least);
    const place = { x: x + (width - w) / 2, y: y + (height - h) / 2, width: w, height: h };
    overlay.append(make("rect", { ...place, class: "edge" }), make("rect", place));
  }
  return overlay;
}

/* The station keeps a picture for a while only. */
export function image(address, alt, loading = "lazy") {
  const element = make("img", { alt, loading, decoding: "async" });
  element.addEventListener("error", () => element.replaceWith(make("p", { class: "no-picture" }, "picture no longer kept")));
  element.src = address;
  return element;
}

/* A picture that says how old it is, and is greyed and crossed once that is too old or it stands still. */
export class Aged {
  constructor() {
    this.cover = make("div", { class: "crossed", hidden: true });
    this.cover.append(make("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true" },
      make("path", { d: "M0 0L100 100M100 0L0 100" })), make("strong", {}));
    this.place = make("div", { class: "view" });
    this.stamp = make("p", { class: "age" });
    this.frame = make("div", { class: "frame" }, this.place, this.cover); // the cross is over the picture alone
    this.element = make("figure", { class: "aged" }, this.frame, this.stamp);
    this.created = null;
    this.address = null;
  }

  /* `frame` has picture, created, boxes and size. */
  show(frame, alt) {
    if (this.address !== frame.picture) {
      this.address = frame.picture;
      this.place.replaceChildren(image(frame.picture, alt, "eager"), boxes(frame));
      if (frame.width) this.frame.style.aspectRatio = `${frame.width} / ${frame.height}`;
    }
    this.created = Date.parse(frame.created);
  }

  /* `now` by the station's clock; `why` says that it is frozen or its camera gone, beside its age. `unseen`: seconds
     for which a newer picture may be there that the view has not asked for. */
  tick(now, oldAfter, why, unseen = 0) {
    if (this.created === null) return;
    const passed = Math.max(0, (now - this.created) / 1000);
    setText(this.stamp, `Picture from ${passed < 1 ? "just now" : age(passed)}`);
    const words = why ?? (passed > oldAfter + unseen ? `Old picture: ${seconds(passed)}, one was due after ${seconds(oldAfter / 2)}` : null);
    this.element.classList.toggle("is-old", words !== null);
    this.cover.hidden = words === null;
    if (words) setText(this.cover.lastChild, words);
  }
}

export function noPicture(result) {
  const words = result.no_picture === "let_go" ? "picture deleted to make room" : "no picture was taken";
  return make("p", { class: "no-picture", title: words }, icon("dash", "none"), words);
}
