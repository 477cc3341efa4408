// Where the pusher is to go: what the pointer and the arrow keys say.

import { SIDE } from "./tables.js";

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const STEP = 12;
const FAR_STEP = 30;

const clamp = (value) => Math.min(Math.max(value, 0), SIDE);

/** Follows the pointer over the tables, and the keys while they have the focus. */
export class Steering {
  /** `commands` are functions by key, as in `{" ": pause}`. */
  constructor(stage, commands) {
    this.stage = stage;
    this.target = null;
    this.origin = [SIDE / 2, SIDE / 2];
    this.held = new Set();
    this.tapped = new Set(); // pressed since the last step, and perhaps let go already
    for (const table of stage.querySelectorAll(".table")) {
      const follow = (event) => this.point(table, event);
      table.addEventListener("pointermove", follow);
      table.addEventListener("pointerdown", follow);
    }
    stage.addEventListener("keydown", (event) => this.press(event, commands));
    stage.addEventListener("keyup", (event) => this.held.delete(event.key));
    stage.addEventListener("blur", () => this.held.clear());
  }

  point(table, event) {
    const box = table.getBoundingClientRect();
    this.aim([(SIDE * (event.clientX - box.left)) / box.width, (SIDE * (event.clientY - box.top)) / box.height]);
  }

  press(event, commands) {
    if (event.target !== this.stage || event.ctrlKey || event.metaKey || event.altKey) return;
    const command = commands[event.key.toLowerCase()];
    if (event.key in ARROWS) {
      this.held.add(event.key);
      this.tapped.add(event.key);
      this.far = event.shiftKey;
    } else if (command && !event.repeat) command();
    if (event.key in ARROWS || command) event.preventDefault();
  }

  /** Let the pusher go to `[x, y]` in table pixels. */
  aim([x, y]) {
    this.target = [clamp(x), clamp(y)];
    for (const cross of this.stage.querySelectorAll(".cross")) {
      cross.hidden = false;
      cross.style.left = `${(100 * this.target[0]) / SIDE}%`;
      cross.style.top = `${(100 * this.target[1]) / SIDE}%`;
    }
  }

  /** Forget where it was to go; the keys move it from `origin` on. */
  release(origin) {
    this.target = null;
    this.origin = origin ?? [SIDE / 2, SIDE / 2];
    this.tapped.clear();
    for (const cross of this.stage.querySelectorAll(".cross")) cross.hidden = true;
  }

  /** Go on with the keys that are held, by one step of the world; gives the target, or null where there is none. */
  step() {
    const keys = new Set([...this.held, ...this.tapped]);
    this.tapped.clear();
    const way = [...keys].reduce(([x, y], key) => [x + ARROWS[key][0], y + ARROWS[key][1]], [0, 0]);
    if (way[0] || way[1]) {
      const [x, y] = this.target ?? this.origin;
      const length = this.far ? FAR_STEP : STEP;
      this.aim([x + length * way[0], y + length * way[1]]);
    }
    return this.target;
  }
}
