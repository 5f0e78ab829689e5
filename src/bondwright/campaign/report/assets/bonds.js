"use strict";
// The picture of a structure's bonds: strength against length, and in the cell by colour.
(() => {
  const { svg, el } = BW;
  const SHAPES = ["circle", "diamond", "triangle"];
  const STYLES = 7; // colours of the style sheet

  const style = (n) => `point pair-${n % STYLES}`;
  const shape = (n) => SHAPES[n % SHAPES.length];

  // A pair has one colour and shape in all figures of the page.
  const order = new Map();
  for (const item of BW.data.dft) {
    for (const pair of item.bonds?.pairs || []) if (!order.has(pair)) order.set(pair, order.size);
  }

  const all = BW.data.dft.flatMap((item) => item.bonds?.points || []);
  const lengths = BW.padded(all.map((p) => p[1]), 0.05);
  const strengths = BW.padded([0, ...all.map((p) => p[2])], 0.06);

  function chart(place, bonds, title) {
    const draw = () => {
      const { root, box } = BW.frame(place, 300, { left: 46, right: 16, top: 34, bottom: 50 });
      const xAt = BW.scale(...lengths, box.left, box.right);
      const yAt = BW.scale(...strengths, box.bottom, box.top);
      BW.axes(root, box, xAt, yAt, { x: "Bond length (\u00c5)", y: "\u2212ICOHP (eV)" });
      root.append(svg("line", { class: "zero", x1: box.left, x2: box.right, y1: yAt(0), y2: yAt(0) }));
      // Weak ones first, so that strong ones lie on top.
      for (const [pair, length, strength, number] of [...bonds.points].reverse()) {
        const name = bonds.pairs[pair];
        const n = order.get(name);
        const mark = BW.shapes[shape(n)](xAt(length), yAt(strength), 5);
        mark.setAttribute("class", style(n));
        mark.append(svg("title", {}, `${number} ${name}, ${BW.number(length, 3)} \u00c5, ` +
          `\u2212ICOHP ${BW.number(strength, 2)} eV`));
        root.append(mark);
      }
      root.setAttribute("role", "img");
      root.setAttribute("aria-label", `${title}: bond strength against length, ` +
        `${bonds.points.length} different bonds`);
      place.replaceChildren(root, BW.legend(bonds.pairs.map((name) => (
        { shape: shape(order.get(name)), style: style(order.get(name)), text: name }))));
    };
    BW.responsive(place, draw);
  }

  // From weak to strong; told apart with every kind of colour vision, and strong bonds are thicker.
  const STOPS = [[86, 158, 214], [233, 195, 73], [200, 62, 10]];
  const strongest = Math.max(0.1, ...BW.data.dft.flatMap((item) => item.drawn?.strengths || []));
  BW.bondShare = (strength) => Math.min(1, Math.max(0, strength / strongest));
  BW.bondColor = (share) => {
    const at = share * (STOPS.length - 1);
    const k = Math.min(STOPS.length - 2, Math.floor(at));
    const mix = STOPS[k].map((x, n) => Math.round(x + (at - k) * (STOPS[k + 1][n] - x)));
    return `#${mix.map((x) => x.toString(16).padStart(2, "0")).join("")}`;
  };

  const STEPS = 24;
  const scale = () => el("p", { class: "bond-scale" },
    "\u2212ICOHP ", BW.number(0, 1),
    svg("svg", { viewBox: `0 0 ${4 * STEPS} 12`, role: "img",
      "aria-label": "Colours from weak to strong" },
    Array.from({ length: STEPS }, (_, n) => svg("rect", { x: 4 * n, width: 4.2, y: 0, height: 12,
      fill: BW.bondColor(n / (STEPS - 1)) }))),
    `${BW.number(strongest, 1)} eV`);

  document.querySelectorAll("[data-bonds]").forEach((card) => {
    const item = BW.data.dft.find((x) => x.key === card.dataset.bonds);
    const title = card.querySelector("h4").textContent;
    const [figure, view] = [card.querySelector(".bond-chart"), card.querySelector(".bond-view")];
    // Charts measure their place, so the layout is settled first.
    if (!item.drawn) view.remove();
    if (item.bonds) chart(figure, item.bonds, title);
    else figure.remove();
    if (item.drawn) view.append(BW.viewer([{ title: "After DFT", drawn: item.drawn }], title), scale());
  });
})();
