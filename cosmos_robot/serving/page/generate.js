// Generating from a prompt: a form for each mode, a job in the queue, its progress, and its answer.

import { Answer } from "./answer.js";
import { Refusal, ask, randomId } from "./api.js";
import { byId, make, show } from "./elements.js";
import { MODES, requestOf } from "./modes.js";
import { SIDE } from "./tables.js";

const LOOK_SECONDS = 0.4;
const FIELDS = ["prompt", "domain", "state", "actions", "ask-seed", "steps", "guidance"];
const SIZES = ["fps", "num_frames", "resolution", "action_chunk_size"];

/** The form. */
export class Generate {
  constructor(facts, play, queue) {
    Object.assign(this, { facts, play, queue, media: null, job: null, example: "" });
    this.answer = new Answer(byId("answer"), play);
    byId("mode").append(...facts.modes.map((mode) => make("option", { value: mode }, MODES[mode].name)));
    byId("domain").append(...facts.domains.map(({ name, robot }) => make("option", { value: name }, `${name}: ${robot}`)));
    byId("mode").addEventListener("change", () => this.choose());
    byId("domain").addEventListener("change", () => this.choose());
    byId("frames").addEventListener("change", () => this.read());
    byId("ask").addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    byId("prompt").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("ask").requestSubmit();
    });
    const sampling = document.querySelector("#ask details");
    sampling.addEventListener("invalid", () => (sampling.open = true), true); // or nobody sees what is wrong
    byId("stop").addEventListener("click", () => this.queue.cancel(this.job));
    for (const world of ["learned", "real"]) {
      byId(`from-${world}`).addEventListener("click", () => this.take(this.play.tables.picture(world)));
    }
    byId("from-play").addEventListener("click", () => this.takeActions());
    play.onChange(() => this.offer());
    this.choose();
    byId("send").disabled = facts.modes.length === 0;
  }

  get mode() {
    return byId("mode").value;
  }

  get domain() {
    return this.facts.domains.find(({ name }) => name === byId("domain").value);
  }

  /** Show the fields of the mode. */
  choose() {
    const mode = MODES[this.mode];
    if (mode === undefined) return;
    const fixed = this.facts.native_canvas !== null;
    for (const field of document.querySelectorAll("#ask [data-field]")) {
      const name = field.dataset.field;
      const absent = (name === "state" && !this.domain?.state) || (name === "resolution" && fixed);
      field.hidden = !mode.fields.includes(name) || absent;
      for (const input of field.querySelectorAll("input, select, textarea")) input.disabled = field.hidden;
    }
    byId("frames-label").textContent = mode.media === "video" ? "Video" : "Picture";
    byId("frames").accept = mode.media === "video" ? "video/*" : "image/png,image/jpeg,image/webp";
    byId("prompt").required = mode.words ?? false;
    this.suggest(mode.fields.includes("prompt") ? (this.facts.examples[this.mode] ?? "") : "");
    const longest = this.facts.longest_chunk ?? Infinity;
    byId("action_chunk_size").value = this.domain?.chunk ? Math.min(this.domain.chunk, longest) : "";
    byId("fps").placeholder = this.domain?.fps === null ? "needed" : "model's own";
    byId("action_chunk_size").max = this.facts.longest_chunk ?? "";
    if (this.mediaKind !== mode.media) this.take(null, mode.media);
    this.offer();
  }

  /** Put an example into the prompt, in the place of the one before or of nothing. */
  suggest(example) {
    const prompt = byId("prompt");
    if (["", this.example].includes(prompt.value)) prompt.value = example;
    this.example = example;
  }

  /** Offer what the tables show, where there is something and the mode takes it. */
  offer() {
    const picture = MODES[this.mode]?.media === "image" && this.play.playing;
    byId("from-learned").disabled = !picture;
    byId("from-real").disabled = !picture || this.facts.play.without_simulator !== null;
    byId("from-play").disabled = this.play.played.length === 0;
  }

  /** Take a picture or a video, as a data URI. */
  take(uri, kind = MODES[this.mode].media) {
    this.mediaKind = kind;
    this.media = uri;
    byId("frames-shown").hidden = uri === null || kind === "video";
    byId("frames-shown").src = uri ?? "data:,";
    if (uri === null) byId("frames").value = "";
  }

  read() {
    const [file] = byId("frames").files;
    if (file === undefined) return;
    const reader = new FileReader();
    reader.addEventListener("load", () => this.take(reader.result));
    reader.readAsDataURL(file);
  }

  takeActions() {
    const rows = this.play.played.slice(-16).map((row) => row.map((value) => ((2 * value) / SIDE - 1).toFixed(4)));
    byId("actions").value = rows.map((row) => row.join(" ")).join("\n");
  }

  async send() {
    if (this.job !== null) return;
    const given = Object.fromEntries([...FIELDS, ...SIZES].map((id) => [id, byId(id).value.trim()]));
    given.media = this.media?.replace(/^data:[^,]*,/, "");
    show(byId("ask-notice"), "");
    try {
      const request = requestOf(this.mode, given);
      this.busy(randomId());
      await this.run(request);
    } catch (error) {
      show(byId("ask-notice"), error.message);
      if (!(error instanceof Refusal) && error.constructor !== Error) throw error; // a bug
    } finally {
      this.busy(null);
      this.queue.look();
    }
  }

  /** Put the job into the queue, and wait for its answer. */
  async run(request) {
    const progress = byId("progress");
    progress.removeAttribute("value");
    await ask(`/jobs/${this.job}`, { method: "PUT", body: { requests: [request] } });
    this.queue.look();
    for (;;) {
      const { status, body } = await ask(`/jobs/${this.job}/answer?wait=${LOOK_SECONDS}`);
      if (status === 200) {
        this.answer.show(body, request);
        return;
      }
      if (body.steps > 0) progress.value = body.steps_done / body.steps;
      byId("send").textContent = body.state === "queued" ? "Waiting …" : "Generating …";
    }
  }

  busy(job) {
    this.job = job;
    const idle = job === null;
    byId("send").disabled = !idle;
    byId("stop").hidden = idle;
    byId("progress").hidden = idle;
    byId("send").textContent = idle ? "Generate" : "Sending …";
  }
}
