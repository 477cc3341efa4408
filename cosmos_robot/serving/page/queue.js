// The queue: what waits, what runs, what is done; looked at again and again while the page is seen.

import { Refusal, ask } from "./api.js";
import { byId, make, show } from "./elements.js";

const LOOK_MS = 1000;
const AWAY_MS = 3000;
const SHOWN = 12;
const OPEN = ["queued", "running"];

/** The list of jobs. */
export class Queue {
  constructor() {
    this.rows = new Map();
    this.looking = false;
    this.onAnswer = () => {};
    document.addEventListener("visibilitychange", () => this.look());
  }

  /** Look now, and from then on. */
  async look() {
    if (this.looking || document.hidden) return;
    clearTimeout(this.timer);
    this.looking = true;
    let pause = LOOK_MS;
    try {
      const { body } = await ask("/jobs");
      this.show(body);
      show(byId("queue-notice"), "");
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      pause = AWAY_MS;
      this.stand("offline", "offline");
      show(byId("queue-notice"), error.message);
    } finally {
      this.looking = false;
      this.timer = setTimeout(() => this.look(), pause);
    }
  }

  /** Cancel a job; one that ended meanwhile stays as it is. */
  async cancel(id) {
    try {
      await ask(`/jobs/${id}`, { method: "DELETE" });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      show(byId("queue-notice"), error.message);
    }
    this.look();
  }

  async open(id) {
    try {
      const { body } = await ask(`/jobs/${id}/answer`);
      this.onAnswer(body);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      show(byId("queue-notice"), error.message);
    }
  }

  show({ counts, jobs }) {
    const open = counts.queued + counts.running;
    this.stand(open === 0 ? "idle" : "busy", open === 0 ? "idle" : `${counts.running} running, ${counts.queued} waiting`);
    const known = Object.entries(counts).filter(([, count]) => count > 0);
    byId("counts").textContent = known.map(([state, count]) => `${count} ${state}`).join(", ");
    const shown = inOrder(jobs).slice(0, SHOWN);
    const rows = shown.map((job) => this.row(job));
    const same = rows.length === byId("jobs").children.length && rows.every((row, i) => byId("jobs").children[i] === row);
    if (!same) byId("jobs").replaceChildren(...rows); // a row that stays keeps the focus of its button
    for (const id of [...this.rows.keys()]) if (!shown.some((job) => job.id === id)) this.rows.delete(id);
    byId("no-jobs").hidden = shown.length > 0;
  }

  stand(kind, words) {
    byId("standing").dataset.state = kind;
    byId("standing").textContent = words;
  }

  /** The row of a job, made once for each state and brought up to date. */
  row(job) {
    let row = this.rows.get(job.id);
    if (row?.dataset.state !== job.state) {
      row = this.make(job);
      this.rows.set(job.id, row);
    }
    const progress = row.querySelector("progress");
    if (progress !== null && job.steps > 0) progress.value = job.steps_done / job.steps;
    row.querySelector(".when").textContent = when(job);
    return row;
  }

  make(job) {
    const row = make("li", { id: `job-${job.id}` });
    row.dataset.state = job.state;
    const chip = make("span", { className: "chip" }, job.state);
    chip.dataset.state = job.state;
    row.append(chip, make("b", {}, job.mode), make("span", { className: "quiet" }, job.interface));
    row.append(make("span", { className: "quiet when" }));
    const label = `${job.mode} of ${new Date(1000 * job.created).toLocaleTimeString()}`;
    if (OPEN.includes(job.state)) row.append(this.button("Cancel", label, () => this.cancel(job.id)));
    if (job.state === "done") row.append(this.button("Show", label, () => this.open(job.id)));
    if (job.state === "running") row.append(make("progress", { max: 1, ariaLabel: `Progress of ${label}` }));
    if (job.error) row.append(make("p", { className: "quiet" }, job.error));
    return row;
  }

  button(word, label, act) {
    const button = make("button", { type: "button", ariaLabel: `${word} ${label}` }, word);
    button.addEventListener("click", act);
    return button;
  }
}

/** First what runs, then what waits as it comes up, then what has ended, the newest first. */
function inOrder(jobs) {
  const of = (state) => jobs.filter((job) => job.state === state);
  return [...of("running"), ...of("queued").reverse(), ...jobs.filter(({ state }) => !OPEN.includes(state))];
}

function when({ state, created, started, finished }) {
  const now = Date.now() / 1000;
  if (state === "queued") return `waits ${seconds(now - created)}`;
  if (state === "running") return `for ${seconds(now - started)}`;
  return started === null ? "" : `took ${seconds(finished - started)}`;
}

function seconds(count) {
  const whole = Math.max(count, 0);
  return whole < 90 ? `${whole.toFixed(whole < 10 ? 1 : 0)} s` : `${Math.round(whole / 60)} min`;
}
