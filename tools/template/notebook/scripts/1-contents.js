// The contents list: open on a desk, folded on a phone, and the section one is reading is marked and in sight.
// Without this script the list works all the same.
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
      links.get(now.id).setAttribute("aria-current", "true");
      if (wide.matches) show(links.get(now.id), details.parentElement);
    };
    const show = (link, list) => {
      // Boxes on the screen: the list sticks to the window, so its offset in the page says nothing.
      const [mine, its] = [link.getBoundingClientRect(), list.getBoundingClientRect()];
      if (mine.top < its.top || mine.bottom > its.bottom - 60) list.scrollTop += mine.top - its.top - list.clientHeight / 2;
    };
    addEventListener("scroll", () => {
      if (!waiting) { waiting = true; requestAnimationFrame(mark); }
    }, { passive: true });
    mark();
  });
})();
