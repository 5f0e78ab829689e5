"use strict";
// Filling the page: figures at once, 3D views when they come into sight.
(() => {
  const { data } = BW;
  document.querySelectorAll("[data-plot]").forEach((place) => {
    BW.plot(place, data.plots[place.dataset.plot]);
  });

  const sight = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      sight.unobserve(entry.target);
      BW.scene(entry.target, data.scenes[entry.target.dataset.scene]);
    }
  }, { rootMargin: "200px" });
  document.querySelectorAll("[data-scene]").forEach((place) => sight.observe(place));

  addEventListener("beforeprint", () => {
    document.querySelectorAll("main details").forEach((d) => { d.open = true; });
  });
  document.documentElement.dataset.ready = "true";
})();
