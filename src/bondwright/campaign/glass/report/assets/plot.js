"use strict";
// Figures of numbers: lines, steps, bands and points, with a legend that hides and shows them and
// a tip that names the nearest point.
(() => {
  const { svg, el } = BW;
  const SHAPES = ["circle", "diamond", "triangle"];
  const NEAR = 26; // px
  const MANY = 400; // points: above, they are drawn small
  let drawn = 0;

  const shapeOf = (series) => SHAPES[Math.floor((series.style || 0) / 7) % SHAPES.length];
  const styleOf = (series) => `pair-${(series.style || 0) % 7}`;

  function icon(series) {
    const root = svg("svg", { viewBox: "0 0 16 16", "aria-hidden": true, class: "legend-icon" });
    const mark = series.kind === "points" ? BW.shapes[shapeOf(series)](8, 8, 4.5)
      : series.kind === "band" ? svg("rect", { x: 1, y: 3, width: 14, height: 10 })
        : svg("path", { d: "M1 8H15" });
    mark.setAttribute("class", `${series.kind} ${styleOf(series)}${series.dashed ? " dashed" : ""}`);
    root.append(mark);
    return root;
  }

  const path = (points) => points.map(([x, y], n) => `${n ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

  function steps(points, half) {
    return points.flatMap(([x, y]) => [[x - half, y], [x + half, y]]);
  }

  function draw(series, xAt, yAt, size) {
    const { x, y } = series;
    const points = x.map((v, n) => [xAt(v), yAt(y[n])]);
    const style = `${series.kind} ${styleOf(series)}${series.dashed ? " dashed" : ""}`;
    if (series.kind === "band") {
      const upper = x.map((v, n) => [xAt(v), yAt(series.high[n])]);
      const lower = x.map((v, n) => [xAt(v), yAt(series.low[n])]).reverse();
      return [svg("path", { class: style, d: `${path([...upper, ...lower])}Z` })];
    }
    if (series.kind === "points") {
      return points.map(([a, b]) => {
        const mark = BW.shapes[shapeOf(series)](a, b, size);
        mark.setAttribute("class", style);
        return mark;
      });
    }
    const shown = series.kind === "step"
      ? steps(points, (xAt(x[1] ?? x[0] + 1) - xAt(x[0])) / 2) : points;
    const marks = [svg("path", { class: style, d: path(shown) })];
    if (series.marks) {
      for (const [a, b] of points) {
        const mark = BW.shapes[shapeOf(series)](a, b, 3.5);
        mark.setAttribute("class", `points ${styleOf(series)}`);
        marks.push(mark);
      }
    }
    return marks;
  }

  BW.plot = (place, spec) => {
    const chart = el("div", { class: "chart-place" });
    const tip = el("div", { class: "tip", role: "status" });
    const hidden = new Set();
    const shown = () => spec.series.filter((s) => !hidden.has(s.text));
    let targets = [];

    // The frame holds every series, so that it stays when one is hidden.
    const every = (key) => spec.series.flatMap((s) => s[key] || []);
    const ends = (axis, values) => {
      let [low, high] = BW.padded(values.length ? values : [0, 1], 0.04);
      if (axis.low !== undefined) low = axis.low;
      if (axis.high !== undefined) high = axis.high;
      return [low, high];
    };
    const xEnds = ends(spec.x, every("x"));
    const yEnds = ends(spec.y, [...every("y"), ...every("low"), ...every("high")]);

    function redraw() {
      const { root, box } = BW.frame(chart, spec.height || 320,
        { left: 54, right: 16, top: 34, bottom: 50 });
      const xAt = BW.scale(...xEnds, box.left, box.right);
      const yAt = BW.scale(...yEnds, box.bottom, box.top);
      BW.axes(root, box, xAt, yAt, { x: spec.x.title, y: spec.y.title });
      // What lies beyond the axes' ends is not drawn.
      drawn += 1;
      const inside = `inside-${drawn}`;
      root.append(svg("clipPath", { id: inside }, svg("rect", { x: box.left - 4, y: box.top - 4,
        width: box.width + 8, height: box.height + 8 })));
      const clip = svg("g", { class: "plotted", "clip-path": `url(#${inside})` });
      const points = shown().filter((s) => s.kind === "points").reduce((n, s) => n + s.x.length, 0);
      if (yEnds[0] < 0 && yEnds[1] > 0) {
        clip.append(svg("line", { class: "zero", x1: box.left, x2: box.right, y1: yAt(0), y2: yAt(0) }));
      }
      if (spec.diagonal) {
        const [low, high] = [Math.max(xEnds[0], yEnds[0]), Math.min(xEnds[1], yEnds[1])];
        clip.append(svg("line", { class: "threshold", x1: xAt(low), y1: yAt(low), x2: xAt(high), y2: yAt(high) }));
      }
      targets = [];
      for (const series of shown()) {
        clip.append(...draw(series, xAt, yAt, points > MANY ? 2.2 : 4));
        if (series.kind === "band") continue;
        series.x.forEach((v, n) => targets.push([xAt(v), yAt(series.y[n]), series, n]));
      }
      root.append(clip);
      root.setAttribute("role", "img");
      root.setAttribute("aria-label", spec.label);
      root.addEventListener("pointermove", (event) => point(event, root));
      root.addEventListener("pointerleave", () => tip.classList.remove("on"));
      chart.replaceChildren(root);
    }

    function point(event, root) {
      const frame = root.getBoundingClientRect();
      const [x, y] = [event.clientX - frame.left, event.clientY - frame.top];
      let [best, least] = [null, NEAR ** 2];
      for (const target of targets) {
        const distance = (target[0] - x) ** 2 + (target[1] - y) ** 2;
        if (distance < least) [best, least] = [target, distance];
      }
      tip.classList.toggle("on", best !== null);
      if (!best) return;
      const [a, b, series, n] = best;
      tip.replaceChildren(el("strong", {}, series.text),
        el("div", {}, `${spec.x.title}: ${BW.plain(series.x[n])}`),
        el("div", {}, `${spec.y.title}: ${BW.plain(series.y[n])}`));
      tip.style.left = `${Math.min(Math.max(0, a + 12), Math.max(0, chart.clientWidth - tip.offsetWidth - 4))}px`;
      tip.style.top = `${Math.max(0, b - tip.offsetHeight - 10)}px`;
    }

    // One button per name: a band and the line within it go together.
    const names = [...new Set(spec.series.map((s) => s.text))];
    const legend = el("ul", { class: "legend switches" }, names.map((name) => {
      const series = spec.series.filter((s) => s.text === name);
      const button = el("button", { type: "button", "aria-pressed": "true", onclick: () => {
        if (hidden.has(name)) hidden.delete(name);
        else hidden.add(name);
        button.setAttribute("aria-pressed", String(!hidden.has(name)));
        redraw();
      } }, icon(series.find((s) => s.kind !== "band") || series[0]), name);
      return el("li", {}, names.length > 1 ? button : [icon(series[0]), name]);
    }));
    place.append(chart, tip, legend);
    BW.responsive(chart, redraw);
  };
})();
