// The figures below the tables.

import { byId, drawLine, show } from "./elements.js";

const KEPT = 100;
const SPEED_MS = 4000;
const FEWEST = 6; // steps that tell a pace
const REAL_TIME = 10; // steps a second

const percent = (share) => (share === null ? "" : `goal covered ${Math.round(100 * share)} %`);

/** Shows how far the worlds are apart, and how quickly they go. */
export class Figures {
  constructor() {
    this.clear();
  }

  clear() {
    this.psnr = [];
    this.apart = [];
    this.steps = [];
    for (const id of ["psnr", "apart", "pace"]) byId(id).textContent = "–";
    for (const id of ["psnr-line", "apart-line"]) drawLine(byId(id), [], 0, 1);
    byId("pace-note").textContent = "";
  }

  /** Of one step that is shown: PSNR and the distance of the pushers, null where they are not known. */
  step(psnr, apart) {
    const now = performance.now();
    this.steps = [...this.steps.filter((time) => now - time < SPEED_MS), now];
    this.add("psnr", this.psnr, psnr, 10, 45, (value) => `${value.toFixed(1)} dB`);
    this.add("apart", this.apart, apart, 0, 60, (value) => `${value.toFixed(1)} px`);
    if (this.steps.length >= FEWEST) {
      const rate = (1000 * (this.steps.length - 1)) / (now - this.steps[0]);
      byId("pace").textContent = `${rate.toFixed(1)} steps/s`;
      const slow = rate < 0.9 * REAL_TIME;
      byId("pace-note").textContent = slow ? `${(rate / REAL_TIME).toFixed(1)}× real time` : "real time";
    }
  }

  /** The world rests, so that the time until it goes on says nothing of its pace. */
  rest() {
    this.steps = [];
  }

  /** Of one chunk: milliseconds from sending to its pictures, and the server's own seconds. */
  chunk(roundTrip, { waited, generated }) {
    byId("latency").textContent = `${Math.round(roundTrip)} ms`;
    const queued = waited > 0.05 ? `, waited ${Math.round(1000 * waited)} ms for the queue` : "";
    byId("latency-parts").textContent = `model ${Math.round(1000 * generated)} ms${queued}`;
  }

  /** A chunk has been away for so many milliseconds already. */
  waiting(elapsed) {
    byId("latency").textContent = `${(elapsed / 1000).toFixed(1)} s …`;
    byId("latency-parts").textContent = "waiting for the model";
  }

  coverage({ learned, real }) {
    byId("learned-goal").textContent = percent(learned);
    byId("real-goal").textContent = percent(real);
  }

  add(id, values, value, low, high, write) {
    values.push(value);
    if (values.length > KEPT) values.shift();
    show(byId(id), value === null ? "–" : write(value));
    drawLine(byId(`${id}-line`), values, low, high);
  }
}
