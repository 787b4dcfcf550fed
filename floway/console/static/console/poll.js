// Checks a waiting sign-in now and then, so that nobody has to press the button; without this file the button does it.
(() => {
  const form = document.querySelector("form[data-poll-seconds]");
  if (!form) return;
  const wait = 1000 * Number(form.dataset.pollSeconds);
  const check = async () => {
    const sent = { method: "POST", body: new FormData(form), redirect: "manual" };
    const answer = await fetch(location.href, sent).catch(() => null);
    if (answer && answer.type === "opaqueredirect") location.reload();
    else setTimeout(check, wait);
  };
  setTimeout(check, wait);
})();
