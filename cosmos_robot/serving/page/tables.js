// The two tables: strips of frames unpacked, and drawn one by one.

import { bytesOf } from "./api.js";
import { byId } from "./elements.js";

export const SIDE = 512;

/** Unpack frames that lie below one another in one PNG in base64; null stays null. */
export async function unpack(strip) {
  return strip === null ? null : createImageBitmap(new Blob([bytesOf(strip)], { type: "image/png" }));
}

/** Draws what the worlds show. */
export class Tables {
  constructor() {
    this.canvases = { learned: byId("learned"), real: byId("real") };
  }

  /** Draw frame `index` of `count` of a strip. */
  draw(world, strip, index, count) {
    const canvas = this.canvases[world];
    const height = strip.height / count;
    if (canvas.width !== strip.width || canvas.height !== height) {
      canvas.width = strip.width;
      canvas.height = height;
    }
    canvas
      .getContext("2d", { willReadFrequently: true })
      .drawImage(strip, 0, index * height, strip.width, height, 0, 0, strip.width, height);
  }

  /** Draw how table `seed` begins, of the few whose beginnings are kept, one below the other. */
  async preview(seed) {
    const image = new Image();
    image.src = "/page/starts.png";
    await image.decode();
    const count = image.height / image.width;
    for (const world of Object.keys(this.canvases)) this.draw(world, image, seed % count, count);
  }

  /** What a world shows, as a data URI of a PNG. */
  picture(world) {
    return this.canvases[world].toDataURL("image/png");
  }
}
