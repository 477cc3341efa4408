// The modes: what each asks for, and the body of a job that asks it.

/** By mode: its name for people, the fields of the form that it has, what its media are, whether it needs words. */
export const MODES = {
  text2image: { name: "Image from words", fields: ["prompt", "resolution"], words: true },
  text2video: { name: "Video from words", fields: ["prompt", "fps", "num_frames", "resolution"], words: true },
  image2video: { name: "Video from a picture", fields: ["prompt", "frames", "fps", "num_frames", "resolution"], media: "image" },
  video2video: { name: "A video that goes on", fields: ["prompt", "frames", "fps", "num_frames", "resolution"], media: "video" },
  policy: {
    name: "Policy: what should the robot do?",
    fields: ["domain", "prompt", "frames", "state", "chunk", "fps"],
    media: "image",
  },
  forward_dynamics: {
    name: "Forward dynamics: what will be seen?",
    fields: ["domain", "prompt", "frames", "actions", "fps"],
    media: "image",
  },
  inverse_dynamics: {
    name: "Inverse dynamics: what did the robot do?",
    fields: ["domain", "frames", "chunk", "fps"],
    media: "video",
  },
};

/** Rows of numbers, one a line, told apart by blanks or commas. Throws a sentence where one is no number. */
export function readRows(text) {
  const lines = text.split("\n").map((line) => line.trim());
  return lines.filter(Boolean).map((line, i) => {
    const row = line.split(/[\s,;]+/).map(Number);
    if (row.some((value) => !Number.isFinite(value))) throw new Error(`Row ${i + 1} of the actions holds no numbers.`);
    return row;
  });
}

/** The request of a mode, of what the form says; `given` has a string for each field, and `media` in base64. */
export function requestOf(mode, given) {
  const { fields } = MODES[mode];
  const request = { mode, seed: Number(given["ask-seed"] || 0) };
  const number = (name, field = name) => {
    if (given[name] !== "") request[field] = Number(given[name]);
  };
  number("steps", "num_steps");
  number("guidance");
  if (fields.includes("prompt")) request.prompt = given.prompt;
  if (fields.includes("frames")) {
    if (!given.media) throw new Error(`Choose a ${MODES[mode].media === "video" ? "video" : "picture"} first.`);
    request.frames = given.media;
  }
  if (fields.includes("fps")) number("fps");
  if (fields.includes("num_frames")) number("num_frames");
  if (fields.includes("resolution")) number("resolution");
  if (fields.includes("domain")) request.domain = given.domain;
  if (fields.includes("chunk")) number("action_chunk_size");
  if (fields.includes("state") && given.state) request.state = readRows(given.state)[0];
  if (fields.includes("actions")) {
    request.actions = readRows(given.actions);
    request.action_chunk_size = request.actions.length;
  }
  return request;
}
