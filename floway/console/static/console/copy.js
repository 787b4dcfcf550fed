// Copies the text that a button names; without this file, or where the browser forbids it, the text is selected by hand.
(() => {
  for (const button of document.querySelectorAll("button[data-copy]")) {
    const text = document.getElementById(button.dataset.copy);
    if (!text) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      const done = await navigator.clipboard?.writeText(text.textContent).then(() => true, () => false);
      if (!done) getSelection().selectAllChildren(text);
      button.textContent = done ? button.dataset.copied : button.dataset.selected;
    });
  }
})();
