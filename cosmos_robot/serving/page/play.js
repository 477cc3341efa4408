// Playing: the pointer's way goes to the server in chunks, and what the two worlds show of it is shown here.
//
// The world's clock ticks ten times a second. While one chunk is away the next is gathered; where the server is slower
// than the clock the world waits for it, so that what is shown never falls behind.

import { Refusal, ask } from "./api.js";
import { byId, make, show } from "./elements.js";
import { Figures } from "./figures.js";
import { Steering } from "./steering.js";
import { Tables, unpack } from "./tables.js";

const TICK_MS = 100;
const RESTING_STEPS = 12; // of one target: by then the pusher has come to a stand
const KEPT = 16;
const LONG_MS = 1000;

/** One player's session. */
export class Play {
  constructor(facts) {
    this.facts = facts.play;
    this.id = null;
    this.paused = false;
    this.tables = new Tables();
    this.figures = new Figures();
    this.played = [];
    this.listeners = [];
    this.buttons = Object.fromEntries(["begin", "pause", "reset", "next", "sync"].map((id) => [id, byId(id)]));
    this.seed = byId("seed");
    this.steering = new Steering(byId("stage"), {
      " ": () => this.pause(!this.paused),
      r: () => this.reset(),
      s: () => this.sync(),
    });
    byId("chunk").append(...this.facts.chunks.map((size) => make("option", { value: size }, `${size}`)));
    show(byId("no-simulator"), this.facts.without_simulator ?? "");
    show(byId("play-notice"), this.facts.refusal ?? "");
    this.buttons.begin.disabled = this.facts.refusal !== null;
    this.forget();
    this.listen();
    this.tables.preview(this.wantedSeed());
  }

  listen() {
    this.buttons.begin.addEventListener("click", () => this.begin());
    this.buttons.pause.addEventListener("click", () => this.pause(!this.paused));
    this.buttons.reset.addEventListener("click", () => this.reset());
    this.buttons.next.addEventListener("click", () => {
      this.seed.value = (this.wantedSeed() + 1) % this.facts.seeds;
      this.reset();
    });
    this.buttons.sync.addEventListener("click", () => this.sync());
    this.seed.addEventListener("change", () => this.reset());
    document.addEventListener("visibilitychange", () => document.hidden && this.pause(true));
    window.addEventListener("pagehide", () => this.leave());
    setInterval(() => this.tick(), TICK_MS);
  }

  /** Have `listener` called when playing begins and ends. */
  onChange(listener) {
    this.listeners.push(listener);
  }

  get playing() {
    return this.id !== null;
  }

  /** Play these targets `[[x, y], ...]` in table pixels; then the pointer leads again. */
  follow(targets) {
    this.script = targets.map(([x, y]) => [x, y]);
    this.pause(false);
  }

  wantedSeed() {
    const seed = Math.trunc(Number(this.seed.value));
    return seed >= 0 && seed < this.facts.seeds ? seed : 0;
  }

  async begin() {
    this.buttons.begin.disabled = true;
    await this.guarded(async () => {
      const { body } = await ask("/play", { method: "POST", body: { seed: this.wantedSeed() } });
      this.id = body.id;
      await this.stand(body);
      this.pause(false);
      byId("stage").focus({ preventScroll: true });
    });
    this.buttons.begin.disabled = false;
    this.changed();
  }

  async reset() {
    if (!this.playing) await this.tables.preview(this.wantedSeed());
    await this.command("reset", { seed: this.wantedSeed() });
  }

  async sync() {
    if (this.facts.without_simulator === null) await this.command("sync");
  }

  /** Send a command once the chunk that is away has come back, and show how the tables stand then. */
  async command(name, body) {
    if (!this.playing || this.commanded) return;
    this.commanded = true;
    this.pending = [];
    await this.away;
    await this.guarded(async () => {
      if (!this.playing) return; // that chunk was refused
      const answer = await ask(`/play/${this.id}/${name}`, { method: "POST", body });
      await this.stand(answer.body);
    });
    this.commanded = false;
  }

  pause(paused) {
    if (!this.playing) return;
    this.paused = paused;
    this.buttons.pause.setAttribute("aria-pressed", String(paused));
    this.buttons.pause.textContent = paused ? "Go on" : "Pause";
    this.figures.rest();
  }

  /** Free the tables when the page goes. */
  leave() {
    if (!this.playing) return;
    ask(`/play/${this.id}`, { method: "DELETE", keepalive: true }).catch(() => {});
    this.id = null;
    this.changed();
  }

  changed() {
    byId("curtain").hidden = this.playing;
    for (const name of ["pause", "reset", "next"]) this.buttons[name].disabled = !this.playing;
    this.buttons.sync.disabled = !this.playing || this.facts.without_simulator !== null;
    for (const listener of this.listeners) listener();
  }

  forget() {
    this.pending = []; // targets of the next chunk
    this.shown = []; // steps that have come and are not shown yet
    this.script = [];
    this.still = 0;
    this.away = null;
  }

  async stand(body) {
    this.forget();
    this.figures.clear();
    this.steering.release(body.pusher);
    await this.receive(body);
    this.show();
  }

  tick() {
    if (!this.playing) return;
    const elapsed = performance.now() - this.sent;
    if (this.away !== null && elapsed > LONG_MS) this.figures.waiting(elapsed);
    if (this.commanded) return;
    if (this.shown.length > 0) this.show();
    if (!this.paused) this.gather();
    this.send();
  }

  /** Take the pointer's place as the target of the next step. */
  gather() {
    if (this.pending.length >= this.chunk) return;
    if (this.script.length > 0) this.steering.aim(this.script.shift());
    const target = this.steering.step();
    if (target === null) return;
    this.still = target === this.last ? this.still + 1 : 0; // each aim is an array of its own
    this.last = target;
    if (this.still < RESTING_STEPS || this.pending.length > 0) this.pending.push(target);
    else this.figures.rest();
  }

  get chunk() {
    return Number(byId("chunk").value);
  }

  /** Send the next chunk once it is whole and the one before has come back. */
  send() {
    if (!this.playing || this.commanded || this.away !== null || this.pending.length < this.chunk) return;
    const targets = this.pending.splice(0, this.chunk);
    this.played = [...this.played, ...targets].slice(-KEPT);
    this.sent = performance.now();
    const work = async () => {
      const { body } = await ask(`/play/${this.id}/steps`, { method: "POST", body: { targets } });
      await this.receive(body);
      this.figures.chunk(performance.now() - this.sent, body.seconds);
    };
    this.away = this.guarded(work).finally(() => {
      this.away = null;
      this.send();
    });
  }

  /** Unpack what came, to be shown step by step. */
  async receive({ count, learned, real, agreement, coverage }) {
    const strips = { learned: await unpack(learned), real: await unpack(real) };
    for (let index = 0; index < count; index++) {
      const last = index === count - 1;
      this.shown.push({
        strips,
        index,
        count,
        psnr: agreement?.psnr[index] ?? null,
        apart: agreement?.pusher[index] ?? null,
        coverage: last ? coverage : null,
      });
    }
  }

  show() {
    const { strips, index, count, psnr, apart, coverage } = this.shown.shift();
    for (const [world, strip] of Object.entries(strips)) {
      if (strip !== null) this.tables.draw(world, strip, index, count);
    }
    this.figures.step(psnr, apart);
    if (coverage !== null) this.figures.coverage(coverage);
  }

  /** Do something; where the server refuses, playing ends with its sentence. */
  async guarded(work) {
    try {
      await work();
      show(byId("play-notice"), "");
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      show(byId("play-notice"), error.message);
      const gone = this.id;
      this.id = null;
      this.forget();
      if (gone !== null && error.status !== 404) {
        ask(`/play/${gone}`, { method: "DELETE" }).catch(() => {}); // freed by its idle time otherwise
      }
      this.changed();
    }
  }
}
