// What people change: asked of the station by its name, and refused in words. What takes longer than a moment is
// asked for again until it is done, so that no connection has to last as long.

const AGAIN = 5; // times that a question for what is under way may get lost
const SILENT = "The station does not answer; look what was done before you ask again";

async function answered(answer) {
  if (!answer.ok) throw new Error((await answer.text()).trim() || `the station answered ${answer.status}`);
  return answer;
}

/* Its answer; `said` is called with each step that it tells of. */
export async function act(name, body, said = () => {}) {
  let answer = await answered(await fetch(`api/acts/${name}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Plumbline-Page": "1" },
    body: JSON.stringify(body),
  }).catch((error) => {
    throw new Error(SILENT, { cause: error });
  }));
  let known = 0;
  for (let lost = 0; answer.status === 202;) {
    const told = await answer.json();
    told.said.forEach(said);
    known += told.said.length;
    for (;;) {
      try {
        answer = await fetch(`api/jobs/${told.job}?after=${known}`);
        break;
      } catch (error) {
        if (++lost > AGAIN) throw new Error(SILENT, { cause: error });
        await new Promise((go) => setTimeout(go, 1000));
      }
    }
    await answered(answer);
  }
  return answer.json();
}
