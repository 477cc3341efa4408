// The page's beginning: asks the server what it offers, and sets up the parts.

import { Refusal, ask } from "./api.js";
import { byId, show } from "./elements.js";
import { Generate } from "./generate.js";
import { startKeyDialog } from "./key_dialog.js";
import { Play } from "./play.js";
import { Queue } from "./queue.js";

const AGAIN_MS = 3000;

async function start() {
  try {
    const { body: facts } = await ask("/facts");
    byId("checkpoint").textContent = facts.checkpoint;
    const queue = new Queue();
    const generate = new Generate(facts, new Play(facts), queue);
    queue.onAnswer = (answer) => {
      generate.answer.show(answer);
      byId("generate").scrollIntoView();
    };
    queue.look();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    show(byId("play-notice"), error.message);
    setTimeout(start, AGAIN_MS);
  }
}

startKeyDialog();
start();
