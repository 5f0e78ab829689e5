"use strict";
// Energy above the hull against a property: where every relaxed candidate lies.
(() => {
  const { svg, el } = BW;
  const HULL = "energy_above_hull";
  const STYLES = {
    survived: { shape: "circle", size: 6, text: "survived" },
    rejected: { shape: "circle", size: 4, text: "rejected" },
    unknown: { shape: "triangle", size: 5, text: "unknown" },
    failed: { shape: "cross", size: 4, text: "failed" },
    waiting: { shape: "circle", size: 4, text: "waiting" },
    control: { shape: "diamond", size: 7, text: "control (known crystal)" },
  };

  const kind = (row) => (row.control ? "control" : row.outcome);

  // Large distances are drawn closer together, so that the region of the threshold can be read.
  const bend = (y) => Math.sign(y) * Math.sqrt(Math.abs(y));

  function heights(values, threshold, box) {
    let [low, high] = BW.padded([...values, 0, threshold || 0], 0.06);
    const bent = high > 8 * (threshold || 0.1) && high > 0.8;
    if (!bent) {
      return { at: BW.scale(low, high, box.bottom, box.top), bent,
        ticks: BW.ticks(low, high, 6) };
    }
    low = Math.min(0, ...values);
    const linear = BW.scale(bend(low) - 0.06, bend(high), box.bottom, box.top);
    const at = (y) => linear(bend(y));
    const round = [-1, -0.5, -0.1, 0, 0.02, 0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 12, 20, 40];
    return { at, bent, ticks: round.filter((t) => t >= low && t <= high) };
  }

  BW.scatter = (place, options) => {
    const tip = el("div", { class: "tip", role: "status" });
    const chart = el("div", { class: "chart-place" });
    place.append(chart, tip);
    let [points, current, name] = [[], -1, options.property];

    const usable = () => BW.data.rows.filter((r) => r[HULL] !== undefined && r[name] !== undefined);

    function draw() {
      const rows = usable();
      tip.classList.remove("on");
      const { root, box } = BW.frame(chart, 460, { left: 54, right: 20, top: 34, bottom: 50 });
      const asked = options.asked[name] || [];
      const xAt = BW.scale(...BW.padded([...rows.map((r) => r[name]), ...asked.map((a) => a.at)], 0.05),
        box.left, box.right);
      const y = heights(rows.map((r) => r[HULL]), options.threshold, box);
      if (options.threshold !== undefined) {
        root.append(svg("rect", { class: "good", x: box.left, width: box.width,
          y: y.at(options.threshold), height: box.bottom - y.at(options.threshold) }));
      }
      BW.axes(root, box, xAt, y.at, { x: BW.axisTitle(name),
        y: BW.axisTitle(HULL) + (y.bent ? ", square-root scale" : "") }, { yTicks: y.ticks });
      if (options.threshold !== undefined) {
        const at = y.at(options.threshold);
        root.append(svg("line", { class: "threshold", x1: box.left, x2: box.right, y1: at, y2: at }),
          svg("text", { class: "threshold-text", x: box.right - 4, y: at - 6, "text-anchor": "end" },
            `threshold ${BW.plain(options.threshold)} eV/atom`));
      }
      for (const line of asked) {
        const at = xAt(line.at);
        root.append(svg("line", { class: "asked", x1: at, x2: at, y1: box.top, y2: box.bottom }),
          svg("text", { class: "asked-text", x: at > box.right - 90 ? at - 5 : at + 5,
            y: box.bottom - 8, "text-anchor": at > box.right - 90 ? "end" : "start" }, line.text));
      }
      // What matters most is drawn last, on top.
      const order = ["waiting", "rejected", "failed", "unknown", "survived", "control"];
      points = rows.map((row) => ({ row, x: xAt(row[name]), y: y.at(row[HULL]) }))
        .sort((a, b) => order.indexOf(kind(a.row)) - order.indexOf(kind(b.row)));
      const layer = svg("g", { class: "points" });
      for (const point of points) {
        const style = STYLES[kind(point.row)];
        point.node = BW.shapes[style.shape](point.x, point.y, style.size);
        point.node.setAttribute("class", `point ${kind(point.row)}`);
        layer.append(point.node);
      }
      nameControls(layer, box);
      root.append(layer);
      root.setAttribute("tabindex", "0");
      root.setAttribute("role", "application");
      root.setAttribute("aria-label", `${rows.length} candidates by ${BW.axisTitle(name)} and ` +
        "energy above the hull. Left and right arrow keys go from point to point, Enter opens one.");
      listen(root);
      chart.replaceChildren(root);
    }

    // Names beside the controls, moved up or down where they would cover one another.
    function nameControls(layer, box) {
      const controls = points.filter((p) => p.row.control).sort((a, b) => a.y - b.y);
      const taken = controls.map((p) => ({ y: p.y + 4, from: p.x - 8, to: p.x + 8 }));
      for (const point of controls) {
        const width = 7 * point.row.name.length;
        const left = point.x + width + 14 > box.right;
        const from = left ? point.x - 11 - width : point.x + 11;
        const free = (y) => taken.every((t) =>
          Math.abs(t.y - y) > 14 || t.from > from + width || t.to < from);
        const y = [0, -15, 15, -30, 30, -45, 45].map((shift) => point.y + 4 + shift).find(free);
        if (y === undefined) continue;
        taken.push({ y, from, to: from + width });
        layer.append(svg("text", { class: "point-text", x: point.x + (left ? -11 : 11), y,
          "text-anchor": left ? "end" : "start" }, point.row.name));
      }
    }

    function select(index) {
      points[current]?.node.classList.remove("chosen");
      current = index;
      const point = points[index];
      if (!point) {
        tip.classList.remove("on");
        return;
      }
      point.node.classList.add("chosen");
      const { row } = point;
      const lines = [`${BW.withUnit(row[HULL], HULL)} above the hull`,
        `${BW.quantity(name).title} ${BW.withUnit(row[name], name)}`];
      tip.replaceChildren(el("strong", {}, row.name), ` ${row.formula || ""}`,
        ...lines.map((text) => el("div", {}, text)),
        el("div", { class: "tip-why" }, row.control ? "control" : BW.capital(BW.why(row))));
      const room = chart.clientWidth;
      tip.classList.add("on");
      const left = Math.min(Math.max(0, point.x + 14), Math.max(0, room - tip.offsetWidth - 4));
      tip.style.left = `${left}px`;
      tip.style.top = `${Math.max(0, point.y - tip.offsetHeight - 12)}px`;
    }

    function nearestTo(event, root) {
      const frame = root.getBoundingClientRect();
      const [x, y] = [event.clientX - frame.left, event.clientY - frame.top];
      let [best, least] = [-1, 22 ** 2];
      points.forEach((point, index) => {
        const distance = (point.x - x) ** 2 + (point.y - y) ** 2;
        if (distance <= least) [best, least] = [index, distance];
      });
      return best;
    }

    function listen(root) {
      root.addEventListener("pointermove", (event) => {
        const index = nearestTo(event, root);
        root.classList.toggle("over", index >= 0);
        if (index !== current) select(index);
      });
      root.addEventListener("pointerleave", () => select(-1));
      root.addEventListener("click", (event) => {
        const index = nearestTo(event, root);
        if (index >= 0) options.open(points[index].row.key);
      });
      root.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (step && points.length) {
          event.preventDefault();
          const sorted = [...points.keys()].sort((a, b) => points[a].x - points[b].x);
          const at = sorted.indexOf(current);
          select(sorted[(at + step + sorted.length) % sorted.length]);
        } else if (event.key === "Enter" && points[current]) {
          options.open(points[current].row.key);
        } else if (event.key === "Escape") select(-1);
      });
      root.addEventListener("blur", () => select(-1));
    }

    BW.responsive(chart, draw);
    const kinds = new Set(BW.data.rows.filter((r) => r[HULL] !== undefined).map(kind));
    return {
      legend: BW.legend(Object.entries(STYLES).filter(([k]) => kinds.has(k)).map(([k, s]) =>
        ({ shape: s.shape, style: `point ${k}`, text: s.text }))),
      change: (property) => {
        name = property;
        current = -1;
        draw();
      },
    };
  };
})();
