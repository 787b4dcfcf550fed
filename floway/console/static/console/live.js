// Fetches the live part of a page again and again, until somebody pauses it; without this file it stands as it was sent.
(() => {
  const panel = document.querySelector("[data-live]");
  const button = document.querySelector("[data-live-pause]");
  if (!panel || !button) return;
  const every = 1000 * Number(panel.dataset.liveSeconds);
  let paused = false;
  button.hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = paused ? button.dataset.resume : button.dataset.pause;
  });
  // Nothing is taken from under somebody's pointer or keyboard.
  const busy = () => paused || document.hidden || panel.matches(":hover") || panel.contains(document.activeElement);
  const look = async () => {
    if (!busy()) {
      const answer = await fetch(panel.dataset.live, { redirect: "manual" }).catch(() => null);
      if (answer && !answer.ok) return;
      const piece = answer && (await answer.text());
      if (piece && !busy()) panel.innerHTML = piece;
    }
    setTimeout(look, every);
  };
  setTimeout(look, every);
})();
