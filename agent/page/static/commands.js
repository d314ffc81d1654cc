// What people ask of the station: a form that asks, and says in words what came of it.

import { act } from "./act.js";
import { make, setText } from "./dom.js";

/* `fields` are elements with a name; `body(values)` is what the act is asked, `said(step, out)` hears how far it is.
   What changes much asks twice. */
export function command({ name, button, fields = [], body = (values) => values, said = () => {}, done, twice }) {
  const out = make("span", { role: "status" });
  const go = make("button", { type: "submit" }, button);
  let sure = !twice;
  const again = () => {
    sure = !twice;
    setText(go, button);
  };
  const form = make("form", { class: "bar", onsubmit: async (event) => {
    event.preventDefault();
    if (!sure) {
      sure = true;
      setText(go, twice);
      return;
    }
    go.disabled = true;
    setText(out, "The station is asked");
    try {
      const values = Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));
      const told = await done(await act(name, body(values), (step) => said(step, out)));
      if (told instanceof Node) out.replaceChildren(told);
      else setText(out, told);
    } catch (error) {
      setText(out, error.message);
    }
    go.disabled = false;
    again();
  }, onfocusout: (event) => form.contains(event.relatedTarget) || again() }, ...fields, go, out);
  return form;
}

export const labelled = (words, input) => make("label", {}, `${words} `, input);
