"use strict";
// Interactive 3D views, made when they come into sight and given back when there are too many:
// a browser allows a page about sixteen of them.
(() => {
  const MOST_ALIVE = 4;
  const FACE = 0.012; // an atom this near to a face (fraction of the cell) is drawn on both faces
  const alive = [];

  // The atoms to draw: those in the cell, the copies of those on its faces, and the neighbours
  // beyond the cell that complete the surroundings of centres inside it.
  function expand(drawn) {
    const atoms = [];
    const index = new Map();
    const add = (k, image) => {
      const name = `${k},${image}`;
      if (!index.has(name)) {
        index.set(name, atoms.length);
        atoms.push({ k, image, bonds: [], numbers: [] });
      }
      return index.get(name);
    };
    const inside = [];
    const links = drawn.kinds.map(() => []);
    for (let n = 0; n < drawn.bonds.length; n += 5) {
      const [i, j, ...image] = drawn.bonds.slice(n, n + 5);
      links[i].push([j, image, n / 5]);
      links[j].push([i, image.map((x) => -x), n / 5]);
    }
    drawn.kinds.forEach((_, k) => {
      const choices = [0, 1, 2].map((axis) => {
        const f = drawn.xyz[3 * k + axis];
        return f < FACE ? [0, 1] : f > 1 - FACE ? [0, -1] : [0];
      });
      for (const a of choices[0]) for (const b of choices[1]) for (const c of choices[2]) {
        add(k, [a, b, c]);
      }
      if (choices.every((c) => c.length === 1) && drawn.centres.includes(drawn.kinds[k])) {
        inside.push(k);
      }
    });
    for (const k of inside) for (const [j, image] of links[k]) add(j, image);
    const plus = (a, b) => a.map((x, n) => x + b[n]);
    atoms.forEach((atom) => {
      for (const [j, image, number] of links[atom.k]) {
        const other = index.get(`${j},${plus(atom.image, image)}`);
        if (other === undefined) continue;
        atom.bonds.push(other);
        atom.numbers.push(number);
      }
    });
    return atoms;
  }

  function cartesian(cell, f) {
    const at = (n) => f[0] * cell[n] + f[1] * cell[3 + n] + f[2] * cell[6 + n];
    return { x: at(0), y: at(1), z: at(2) };
  }

  const corners = () =>
    [0, 1].flatMap((a) => [0, 1].flatMap((b) => [0, 1].map((c) => [a, b, c])));

  function drawCell(viewer, cell) {
    const color = BW.color("soft");
    for (const p of corners()) for (const q of corners()) {
      if (q.reduce((sum, x, n) => sum + x - p[n], 0) !== 1 || p.some((x, n) => q[n] < x)) continue;
      viewer.addCylinder({ start: cartesian(cell, p), end: cartesian(cell, q), radius: 0.025,
        color, fromCap: 1, toCap: 1 });
    }
    ["a", "b", "c"].forEach((name, n) => {
      const end = [0, 0, 0];
      end[n] = 1 + 0.75 / Math.hypot(...cell.slice(3 * n, 3 * n + 3)); // 0.75 \u00c5 past the edge
      viewer.addLabel(name, { position: cartesian(cell, end), fontColor: BW.color("ink"),
        fontSize: 15, showBackground: false, inFront: true, alignment: "center" });
    });
  }

  // Bonds by their strength: colour and thickness.
  function drawStrengths(viewer, drawn, atoms, places) {
    atoms.forEach((atom, n) => atom.bonds.forEach((other, m) => {
      if (other < n) return;
      const share = BW.bondShare(drawn.strengths[atom.numbers[m]]);
      viewer.addCylinder({ start: places[n], end: places[other], radius: 0.04 + 0.1 * share,
        color: BW.bondColor(share), fromCap: 1, toCap: 1 });
    }));
  }

  function draw(viewer, drawn) {
    viewer.removeAllModels();
    viewer.removeAllShapes();
    viewer.removeAllLabels();
    const model = viewer.addModel();
    const atoms = expand(drawn);
    const places = atoms.map((atom) => cartesian(drawn.cell,
      [0, 1, 2].map((n) => drawn.xyz[3 * atom.k + n] + atom.image[n])));
    model.addAtoms(atoms.map((atom, serial) => ({ elem: drawn.elements[drawn.kinds[atom.k]],
      serial, ...places[serial], bonds: atom.bonds, bondOrder: atom.bonds.map(() => 1) })));
    if (drawn.strengths) drawStrengths(viewer, drawn, atoms, places);
    for (const element of drawn.elements) {
      const { color, radius } = BW.data.elements[element];
      model.setStyle({ elem: element }, drawn.strengths ? { sphere: { radius, color } }
        : { sphere: { radius, color }, stick: { radius: 0.09, color } });
    }
    drawCell(viewer, drawn.cell);
  }

  function retire(view) {
    const at = alive.indexOf(view);
    if (at < 0) return;
    alive.splice(at, 1);
    view.sleep();
  }

  BW.closeViewers = (root) => {
    for (const view of [...alive]) if (root.contains(view.stage)) retire(view);
  };

  // A view of one or two structures (as received, relaxed) with its buttons and legend.
  BW.viewer = (structures, title) => {
    const stage = BW.el("div", { class: "stage", tabindex: "0", role: "img",
      "aria-label": `${title}: interactive 3D view of the unit cell. Arrow keys turn it, ` +
        "plus and minus zoom." });
    const view = { stage, viewer: null, current: structures.length - 1 };
    const say = (text) => stage.replaceChildren(BW.el("p", { class: "stage-note" }, text));

    view.sleep = () => {
      if (!view.viewer) return;
      const picture = view.viewer.pngURI();
      const context = view.viewer.getCanvas().getContext("webgl2") ||
        view.viewer.getCanvas().getContext("webgl");
      context?.getExtension("WEBGL_lose_context")?.loseContext();
      view.viewer = null;
      stage.replaceChildren(
        BW.el("img", { src: picture, alt: `${title}, unit cell` }),
        BW.el("button", { type: "button", class: "plain wake", onclick: view.wake }, "Turn again"));
    };

    view.wake = () => {
      if (view.viewer) return;
      stage.replaceChildren();
      try {
        view.viewer = $3Dmol.createViewer(stage, { backgroundAlpha: 0, antialias: true,
          orthographic: true, disableFog: true });
      } catch (error) {
        view.viewer = null;
      }
      if (!view.viewer) {
        say("This browser offers no WebGL, which the 3D view needs. The CIF text can be " +
          "downloaded instead.");
        return;
      }
      alive.push(view);
      if (alive.length > MOST_ALIVE) retire(alive[0]);
      stage.dataset.ready = "true";
      view.show(view.current, true);
    };

    view.show = (which, fresh) => {
      view.current = which;
      buttons.forEach((b, n) => b.setAttribute("aria-pressed", String(n === which)));
      if (!view.viewer) return;
      draw(view.viewer, structures[which].drawn);
      if (fresh) view.look(null);
      view.viewer.render();
    };

    view.look = (axis) => {
      const { viewer } = view;
      const { cell } = structures[view.current].drawn;
      const turn = axis === null ? FIRST_VIEW : towards(cell.slice(3 * axis, 3 * axis + 3));
      viewer.setView([0, 0, 0, 0, ...turn]);
      viewer.zoomTo();
      fit(viewer, stage, structures[view.current].drawn);
    };

    const buttons = structures.map((s, n) => BW.el("button", { type: "button",
      "aria-pressed": "false", onclick: () => view.show(n) }, s.title));
    const axes = ["a", "b", "c"].map((name, n) => BW.el("button", { type: "button",
      "aria-label": `Look along ${name}`, title: `Look along ${name}`,
      onclick: () => view.viewer && view.look(n) }, name));
    axes.push(BW.el("button", { type: "button", title: "First view again",
      onclick: () => view.viewer && view.look(null) }, "Reset"));

    guard(stage, view);
    say("The 3D view starts when it comes into sight.");
    sight.observe(stage);
    stages.set(stage, view);

    const elements = [...new Set(structures.flatMap((s) => s.drawn.elements))];
    return BW.el("figure", { class: "viewer" },
      BW.el("div", { class: "viewer-bar" },
        structures.length > 1
          ? BW.el("div", { class: "segmented", role: "group", "aria-label": "Structure" }, buttons)
          : BW.el("span", { class: "viewer-title" }, structures[0].title),
        BW.el("div", { class: "segmented small", role: "group", "aria-label": "Direction of view" },
          axes)),
      stage,
      BW.el("figcaption", {}, elements.map((e) => BW.el("span", { class: "element" },
        BW.svg("svg", { viewBox: "0 0 16 16", "aria-hidden": true },
          BW.svg("circle", { cx: 8, cy: 8, r: 6.5, fill: BW.data.elements[e].color,
            class: "element-dot" })), e)),
      BW.el("span", { class: "hint" }, "Drag to turn; click, then scroll, to zoom")));
  };

  // Zoom so that atoms and cell fill the stage, whatever their shape.
  function fit(viewer, stage, drawn) {
    const points = expand(drawn).map((atom) => cartesian(drawn.cell,
      [0, 1, 2].map((n) => drawn.xyz[3 * atom.k + n] + atom.image[n])));
    points.push(...corners().map((p) => cartesian(drawn.cell, p)));
    const [width, height] = [stage.clientWidth, stage.clientHeight];
    const seen = points.map((p) => viewer.modelToScreen(p));
    const spread = (axis) => {
      const all = seen.map((p) => p[axis]);
      return Math.max(...all) - Math.min(...all) || 1;
    };
    const factor = 0.8 * Math.min(width / spread("x"), height / spread("y"));
    if (Number.isFinite(factor) && factor > 0) viewer.zoom(Math.min(factor, 8));
  }

  // Rotations as quaternions [x, y, z, w].
  const about = (axis, degrees) => {
    const half = (degrees * Math.PI) / 360;
    const q = [0, 0, 0, Math.cos(half)];
    q[axis] = Math.sin(half);
    return q;
  };
  const after = ([a, b, c, d], [x, y, z, w]) => [
    d * x + a * w + b * z - c * y, d * y - a * z + b * w + c * x,
    d * z + a * y - b * x + c * w, d * w - a * x - b * y - c * z];

  // c upwards, seen a little from the right and from above: no two edges fall together.
  const FIRST_VIEW = after(about(0, 13), after(about(1, -26), about(0, -90)));

  // The shortest rotation that lets a cell vector point at the reader.
  function towards(v) {
    const size = Math.hypot(...v);
    const [x, y, z] = v.map((c) => c / size);
    if (1 + z < 1e-6) return [1, 0, 0, 0];
    const q = [y, -x, 0, 1 + z];
    const norm = Math.hypot(...q);
    return q.map((c) => c / norm);
  }

  // The wheel scrolls the page unless the reader has taken hold of the view; keys turn it.
  function guard(stage, view) {
    const letPass = (event) => {
      if (document.activeElement !== stage) event.stopPropagation();
    };
    for (const kind of ["wheel", "mousewheel", "DOMMouseScroll"]) {
      stage.addEventListener(kind, letPass, { capture: true, passive: true });
    }
    stage.addEventListener("pointerdown", () => stage.focus({ preventScroll: true }));
    const turns = { ArrowLeft: [-8, "vy"], ArrowRight: [8, "vy"], ArrowUp: [-8, "vx"],
      ArrowDown: [8, "vx"] };
    stage.addEventListener("keydown", (event) => {
      if (!view.viewer) return;
      if (turns[event.key]) view.viewer.rotate(...turns[event.key]);
      else if (event.key === "+" || event.key === "=") view.viewer.zoom(1.1);
      else if (event.key === "-") view.viewer.zoom(0.9);
      else return;
      event.preventDefault();
      view.viewer.render();
    });
  }

  const stages = new WeakMap();
  const sight = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      sight.unobserve(entry.target);
      stages.get(entry.target).wake();
    }
  });

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const view of alive) view.show(view.current);
  });
})();
