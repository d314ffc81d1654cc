// What people change: asked of the station by its name, and refused in words.

export async function act(name, body) {
  const answer = await fetch(`api/acts/${name}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Plumbline-Page": "1" },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error((await answer.text()).trim() || `the station answered ${answer.status}`);
  return answer.json();
}
