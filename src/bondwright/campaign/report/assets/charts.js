"use strict";
// Figures drawn as SVG at the width they have, and again when that changes.
(() => {
  const { svg, el } = BW;

  // Round steps: 1, 2 or 5 times a power of ten.
  BW.ticks = (low, high, wanted) => {
    const raw = (high - low || 1) / wanted;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999);
    const ticks = [];
    for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n += 1) {
      ticks.push(Number((n * step).toPrecision(12)));
    }
    return ticks;
  };

  const tickText = (x) => String(x).replace("-", "\u2212");

  // A linear scale from [low, high] to [from, to].
  BW.scale = (low, high, from, to) => {
    const at = (x) => from + ((x - low) / (high - low || 1)) * (to - from);
    at.low = low;
    at.high = high;
    return at;
  };

  // Room around the data so that no mark sits on the frame.
  BW.padded = (values, share) => {
    let [low, high] = [Infinity, -Infinity];
    for (const v of values) {
      low = Math.min(low, v);
      high = Math.max(high, v);
    }
    const room = (high - low || Math.abs(high) || 1) * share;
    return [low - room, high + room];
  };

  BW.shapes = {
    circle: (x, y, r) => svg("circle", { cx: x, cy: y, r }),
    diamond: (x, y, r) => svg("path", { d: `M${x} ${y - r}L${x + r} ${y}L${x} ${y + r}L${x - r} ${y}Z` }),
    cross: (x, y, r) => svg("path", { d: `M${x - r} ${y - r}L${x + r} ${y + r}M${x - r} ${y + r}L${x + r} ${y - r}` }),
    triangle: (x, y, r) => svg("path", { d: `M${x} ${y - r}L${x + r} ${y + 0.8 * r}L${x - r} ${y + 0.8 * r}Z` }),
  };

  BW.axes = (root, box, xAt, yAt, titles, wanted) => {
    const grid = svg("g", { class: "grid" });
    for (const x of BW.ticks(xAt.low, xAt.high, wanted?.x || Math.max(3, box.width / 110))) {
      grid.append(
        svg("line", { x1: xAt(x), x2: xAt(x), y1: box.top, y2: box.bottom }),
        svg("text", { x: xAt(x), y: box.bottom + 18, "text-anchor": "middle" }, tickText(x)));
    }
    for (const y of wanted?.yTicks || BW.ticks(yAt.low, yAt.high, 5)) {
      grid.append(
        svg("line", { x1: box.left, x2: box.right, y1: yAt(y), y2: yAt(y) }),
        svg("text", { x: box.left - 8, y: yAt(y) + 4, "text-anchor": "end" }, tickText(y)));
    }
    root.append(grid,
      svg("text", { class: "axis", x: (box.left + box.right) / 2, y: box.bottom + 40,
        "text-anchor": "middle" }, titles.x),
      svg("text", { class: "axis", x: box.left, y: box.top - 12, "text-anchor": "start" }, titles.y));
  };

  BW.frame = (place, height, margins) => {
    const width = Math.max(280, place.clientWidth);
    const box = { left: margins.left, right: width - margins.right, top: margins.top,
      bottom: height - margins.bottom };
    box.width = box.right - box.left;
    box.height = box.bottom - box.top;
    const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart" });
    return { root, box };
  };

  // Draw now and again whenever the width of the place changes.
  BW.responsive = (place, draw) => {
    let width = 0;
    new ResizeObserver(() => {
      if (Math.abs(place.clientWidth - width) < 1) return;
      width = place.clientWidth;
      draw();
    }).observe(place);
    width = place.clientWidth;
    draw();
  };

  BW.legend = (items) => el("ul", { class: "legend" }, items.map((item) => {
    const icon = svg("svg", { viewBox: "0 0 16 16", "aria-hidden": true, class: "legend-icon" });
    const mark = item.line ? svg("path", { d: "M1 8H15" }) : BW.shapes[item.shape](8, 8, 5);
    mark.setAttribute("class", item.style);
    icon.append(mark);
    return el("li", {}, icon, item.text);
  }));

  // A long row of numbers (an energy per step) as a line, with its first and last value.
  BW.spark = (values) => {
    const [width, height] = [180, 36];
    const xAt = BW.scale(0, values.length - 1, 2, width - 2);
    const yAt = BW.scale(...BW.padded(values, 0.05), height - 2, 2);
    const ends = `${BW.plain(values[0])} to ${BW.plain(values.at(-1))}`;
    return el("span", { class: "spark" },
      svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img",
        "aria-label": `${values.length} values, ${ends}` },
      svg("polyline", { points: values.map((v, n) => `${xAt(n)},${yAt(v)}`).join(" ") })),
      `${ends} in ${BW.number(values.length, 0)} values`);
  };

  // A histogram, stacked by series. options: {series: [{style, values}], low, high, bins, title,
  // lines: [{at, text}], marks: [{at, text}]}
  BW.histogram = (place, options) => BW.responsive(place, () => {
    const { root, box } = BW.frame(place, options.height || 250,
      { left: 46, right: 16, top: options.marks?.length ? 58 : 34, bottom: 50 });
    const { low, high, bins } = options;
    const step = (high - low) / bins;
    const sums = new Array(bins).fill(0);
    const stacks = options.series.map((series) => {
      const counts = new Array(bins).fill(0);
      for (const v of series.values) {
        counts[Math.max(0, Math.min(bins - 1, Math.floor((v - low) / step)))] += 1;
      }
      return counts.map((n, k) => {
        const from = sums[k];
        sums[k] += n;
        return [from, sums[k]];
      });
    });
    const top = Math.max(1, ...sums);
    const xAt = BW.scale(low, high, box.left, box.right);
    const yAt = BW.scale(0, top, box.bottom, box.top);
    const whole = BW.ticks(0, top, 4).filter(Number.isInteger);
    BW.axes(root, box, xAt, yAt, { x: options.title, y: "Candidates" }, { yTicks: whole });
    stacks.forEach((stack, s) => stack.forEach(([from, to], k) => {
      if (to === from) return;
      const [x, width] = [xAt(low + k * step) + 0.75, Math.max(1, xAt(step) - xAt(0) - 1.5)];
      const bar = svg("rect", { x, width, y: yAt(to), height: yAt(from) - yAt(to),
        class: `bar ${options.series[s].style}` });
      bar.append(svg("title", {}, `${to - from} ${options.series[s].text}, ` +
        `${BW.plain(low + k * step)} to ${BW.plain(low + (k + 1) * step)}`));
      root.append(bar);
    }));
    for (const line of options.lines || []) {
      root.append(svg("line", { class: line.style || "threshold", x1: xAt(line.at), x2: xAt(line.at),
        y1: box.top - 6, y2: box.bottom }),
      svg("text", { class: "threshold-text", x: xAt(line.at) + 6, y: box.top + 8 }, line.text));
    }
    for (const mark of options.marks || []) {
      const shape = BW.shapes.diamond(xAt(Math.min(high, Math.max(low, mark.at))), box.top - 12, 5);
      shape.setAttribute("class", "point control");
      shape.append(svg("title", {}, mark.text));
      root.append(shape);
    }
    root.setAttribute("role", "img");
    root.setAttribute("aria-label", options.label);
    place.replaceChildren(root);
  });
})();
