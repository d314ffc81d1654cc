// Who is at the page: known already, or asked for name and password before anything else is loaded.

import { byId, setText } from "./dom.js";

const OWN = { "Content-Type": "application/json", "X-Plumbline-Page": "1" };
const AGAIN_MS = 1000;
const WAYS = { this_machine: "", account: "", proxy: "", kiosk: "kiosk ", anonymous: "" };

/* Ends when the station knows who is here. */
export async function entered() {
  for (;;) {
    try {
      const told = await (await fetch("api/session")).json();
      if (!told.person) return await signIn();
      draw(told.person, told.can_sign_in);
      return told.person;
    } catch {
      await new Promise((go) => setTimeout(go, AGAIN_MS)); // the station is silent, and the page says so
    }
  }
}

function draw(person, canSignIn) {
  setText(byId("person"), `${WAYS[person.way]}${person.name}, ${person.role}`);
  byId("sign-out").hidden = person.way !== "account";
  byId("sign-in-as").hidden = person.way === "account" || !canSignIn;
}

/* Shows the form, and ends when somebody got in. */
function signIn() {
  const form = byId("entry");
  form.hidden = false;
  const waits = byId("health-state").parentElement; // how the station stands is not for everybody
  waits.hidden = true;
  byId("views").hidden = byId("title").hidden = byId("view").hidden = true;
  byId("entry-name").focus();
  return new Promise((done) => {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const body = JSON.stringify({ name: byId("entry-name").value, password: byId("entry-password").value });
      setText(byId("entry-fault"), "");
      byId("entry-go").disabled = true;
      try {
        const answer = await fetch("api/session", { method: "POST", headers: OWN, body });
        if (answer.ok) {
          byId("entry-password").value = "";
          form.hidden = true;
          waits.hidden = false;
          byId("views").hidden = byId("title").hidden = byId("view").hidden = false;
          const { person } = await answer.json();
          draw(person, true);
          done(person);
        } else {
          setText(byId("entry-fault"), (await answer.text()).trim());
          byId("entry-password").select();
        }
      } catch {
        setText(byId("entry-fault"), "The station does not answer");
      }
      byId("entry-go").disabled = false;
    });
  });
}

byId("sign-out").addEventListener("click", async () => {
  await fetch("api/session", { method: "DELETE", headers: OWN });
  location.reload();
});
byId("sign-in-as").addEventListener("click", () => signIn().then(() => location.reload())); // a role shows other things
