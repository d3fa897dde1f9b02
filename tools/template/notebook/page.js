(() => {
  const details = document.querySelector(".contents details");
  const wide = matchMedia("(min-width: 70rem)");
  const fold = () => { details.open = wide.matches; };
  fold();
  wide.addEventListener("change", fold);
  details.addEventListener("click", (event) => {
    if (event.target.closest("a") && !wide.matches) details.open = false;
  });
  addEventListener("DOMContentLoaded", () => {
    // Marks the section one is reading. Without this script the list works all the same.
    const links = new Map();
    for (const link of details.querySelectorAll("a")) links.set(decodeURIComponent(link.hash.slice(1)), link);
    const targets = [...links.keys()].map((id) => document.getElementById(id)).filter(Boolean);
    let current = null;
    let waiting = false;
    const mark = () => {
      waiting = false;
      let now = targets[0];
      for (const target of targets) {
        if (target.getBoundingClientRect().top > innerHeight / 4) break;
        now = target;
      }
      if (!now || now === current) return;
      if (current) links.get(current.id).removeAttribute("aria-current");
      current = now;
      const link = links.get(now.id);
      link.setAttribute("aria-current", "true");
      if (!wide.matches) return;
      const list = details.parentElement;
      const top = link.offsetTop - list.offsetTop;
      if (top < list.scrollTop || top > list.scrollTop + list.clientHeight - 60) list.scrollTop = top - list.clientHeight / 2;
    };
    addEventListener("scroll", () => {
      if (!waiting) { waiting = true; requestAnimationFrame(mark); }
    }, { passive: true });
    mark();
  });
})();
