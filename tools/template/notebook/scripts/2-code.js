// Buttons that are there with a script only: one folds all code, one on each block copies it.
addEventListener("DOMContentLoaded", () => {
  const blocks = [...document.querySelectorAll("details.code")];
  if (!blocks.length) return;
  const opened = blocks.filter((block) => block.open);
  const all = document.querySelector(".fold-all");
  const someOpen = () => blocks.some((block) => block.open);
  const name = () => { all.textContent = someOpen() ? "Fold all code" : "Unfold all code"; };
  all.parentElement.hidden = false;
  all.addEventListener("click", () => {
    // What was folded from the start stays so.
    const open = !someOpen();
    for (const block of opened) block.open = open;
    if (!open) for (const block of blocks) block.open = false;
    name();
  });
  for (const block of blocks) {
    block.addEventListener("toggle", name);
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    button.addEventListener("click", () => copy(block.querySelector("pre"), button));
    block.append(button);
  }

  async function copy(code, button) {
    let copied = true;
    try {
      await navigator.clipboard.writeText(code.textContent.trimEnd());
    } catch {
      // Where a browser keeps the clipboard from files, the code is selected, ready for the keyboard.
      getSelection().selectAllChildren(code);
      copied = false;
    }
    button.textContent = copied ? "Copied" : "Selected";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  }
});
