// Asks for the server's key.

import { onKeyWanted } from "./api.js";
import { byId, show } from "./elements.js";

const PRINTABLE = /^[!-~]+$/;

/** Let the dialog come up whenever the server wants a key. */
export function startKeyDialog() {
  const [dialog, form, field, notice] = ["key-dialog", "key-form", "key", "key-notice"].map(byId);
  let give = null;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!PRINTABLE.test(field.value)) {
      show(notice, "A key is printable ASCII characters without spaces.");
      return;
    }
    const key = field.value;
    field.value = "";
    const done = give;
    give = null;
    dialog.close();
    done(key);
  });
  dialog.addEventListener("close", () => give && dialog.showModal()); // nothing works without a key
  onKeyWanted((refused) => {
    show(notice, refused ? "That key was not accepted." : "");
    dialog.showModal();
    field.focus();
    return new Promise((resolve) => (give = resolve));
  });
}
