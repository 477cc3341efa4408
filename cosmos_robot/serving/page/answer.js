// What a job gave: its image or video, its actions, and what was noted about it.

import { bytesOf } from "./api.js";
import { make } from "./elements.js";
import { SIDE } from "./tables.js";

const SVG = "http://www.w3.org/2000/svg";
const SHOWN_VIDEOS = ["video/mp4", "video/webm"];
const LINES = 8; // colours of the style sheet

/** Shows one answer at a time. */
export class Answer {
  constructor(place, play) {
    this.place = place;
    this.play = play;
    this.addresses = [];
  }

  /** Show an answer; `request` is what was asked, where that is known. */
  show({ items, notes }, request = null) {
    for (const address of this.addresses) URL.revokeObjectURL(address);
    this.addresses = [];
    this.place.replaceChildren(...items.flatMap((item) => this.item(item, request)));
    for (const note of notes) this.place.append(make("p", { className: "quiet" }, note));
  }

  item(item, request) {
    const parts = [];
    if (item.media !== null) parts.push(this.media(item));
    if (item.actions !== null) parts.push(...this.actions(item.actions, request));
    const words = item.prompt_used.length < 300 ? ` · “${item.prompt_used}”` : "";
    const rate = item.media_type?.startsWith("image/") ? "" : ` · ${item.fps} fps`;
    parts.push(make("p", { className: "quiet" }, `seed ${item.seed}${rate}${words}`));
    return parts;
  }

  media({ media, media_type: type }) {
    const address = URL.createObjectURL(new Blob([bytesOf(media)], { type }));
    this.addresses.push(address);
    if (type.startsWith("image/")) return make("img", { src: address, alt: "The generated image" });
    if (!SHOWN_VIDEOS.includes(type)) return make("a", { href: address, download: "answer.mkv" }, "Download the video");
    const video = make("video", { src: address, loop: true, muted: true, autoplay: true, controls: true });
    video.playsInline = true;
    return video;
  }

  actions(actions, request) {
    const details = make("details", {}, make("summary", {}, `${actions.length} actions, in the model's units`));
    details.append(make("pre", {}, actions.map((row) => row.map((value) => value.toFixed(3)).join("  ")).join("\n")));
    const parts = [chart(actions), details];
    if (request?.domain === "pusht" && request.mode !== "forward_dynamics") {
      const button = make("button", { type: "button" }, "Play these actions on the tables");
      button.addEventListener("click", () => {
        document.getElementById("play").scrollIntoView();
        this.play.follow(actions.map((row) => row.map((value) => ((value + 1) * SIDE) / 2)));
      });
      const offer = () => (button.disabled = !this.play.playing);
      this.play.onChange(offer);
      offer();
      parts.push(make("p", { className: "row" }, button));
    }
    return parts;
  }
}

/** Each channel of actions as a line over time. */
function chart(actions) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 100 40");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `${actions[0].length} channels of actions over ${actions.length} steps`);
  svg.classList.add("chart");
  const most = Math.max(1, ...actions.flat().map(Math.abs));
  for (let channel = 0; channel < actions[0].length; channel++) {
    const line = document.createElementNS(SVG, "polyline");
    const wide = Math.max(actions.length - 1, 1);
    const points = actions.map((row, i) => `${(100 * i) / wide},${20 - (19 * row[channel]) / most}`);
    line.setAttribute("points", points.join(" "));
    line.classList.add(`line-${channel % LINES}`);
    svg.append(line);
  }
  return svg;
}
