// The one stream of the page. The browser comes again by itself, with the number of its last event; the server
// says `gap` where that is not enough. Where no event gets through, as behind a proxy that collects answers, the
// page asks once a second instead.

const SILENT_MS = 3000;
const ASK_MS = 1000;

export async function ask(view, query = {}) {
  const rest = new URLSearchParams(query).toString();
  const answer = await fetch(`api/views/${view}${rest ? `?${rest}` : ""}`, { signal: AbortSignal.timeout(10_000) });
  if (answer.status === 401) location.reload(); // the session is over
  if (!answer.ok) throw new Error((await answer.text()).trim() || `the station answered ${answer.status}`);
  return answer.json();
}

/* `heard(name, data)` for each event, `anew()` when something was missed. */
export class Stream {
  constructor(heard, anew) {
    this.heard = heard;
    this.anew = anew;
    this.source = null;
    this.lastEvent = -Infinity;
    this.lastAnswer = performance.now();
    this.names = new Set(["now", "live", "gap"]);
    setInterval(() => this.watch(), ASK_MS);
    document.addEventListener("visibilitychange", () => this.open());
    this.open();
  }

  /* Seconds since the station was last heard. */
  get silence() {
    return (performance.now() - this.lastAnswer) / 1000;
  }

  /* Hear an event of this name, too. */
  hear(name) {
    if (this.names.has(name)) return;
    this.names.add(name);
    if (this.source) this.listen(name);
  }

  open() {
    this.source?.close();
    this.source = new EventSource(document.hidden ? "api/events?only=now" : "api/events");
    for (const name of this.names) this.listen(name);
  }

  listen(name) {
    this.source.addEventListener(name, (event) => {
      this.lastEvent = this.lastAnswer = performance.now();
      if (name === "gap") this.anew();
      else this.heard(name, JSON.parse(event.data));
    });
  }

  async watch() {
    if (this.source.readyState === EventSource.CLOSED) this.open();
    if (performance.now() - this.lastEvent < SILENT_MS || this.asking) return;
    this.asking = true;
    try {
      const now = await ask("now");
      this.lastAnswer = performance.now();
      this.heard("now", now);
      if (!document.hidden) this.anew();
    } catch {
      // Who sees the page is told by its silence.
    }
    this.asking = false;
  }
}
