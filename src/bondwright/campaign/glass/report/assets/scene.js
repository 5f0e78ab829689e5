"use strict";
// Large structures as shaded spheres, drawn by the graphics card from one list of points: each atom
// is a square that its pixels turn into a sphere of the right depth. 10,000 atoms cost one call.
(() => {
  const { el } = BW;

  const ATOMS = [`#version 300 es
    in vec3 place; in float value; in float radius; in float keep;
    uniform mat3 turn; uniform vec3 centre; uniform vec2 zoom; uniform float pixels; uniform float reach;
    uniform vec2 slab; uniform vec3 normal;
    out float shade; flat out float deep; flat out float size;
    void main() {
      vec3 from = place - centre;
      vec3 seen = turn * from;
      float along = dot(from, normal);
      bool cut = keep < 0.5 || along < slab.x || along > slab.y;
      gl_Position = cut ? vec4(2.0, 2.0, 2.0, 1.0)
        : vec4(seen.xy * zoom, -seen.z / reach, 1.0);
      gl_PointSize = max(1.0, 2.0 * radius * pixels);
      shade = value; deep = -seen.z / reach; size = radius / reach;
    }`, `#version 300 es
    precision highp float;
    in float shade; flat in float deep; flat in float size;
    uniform sampler2D colours; uniform float fog;
    out vec4 colour;
    void main() {
      vec2 at = 2.0 * gl_PointCoord - 1.0;
      float square = dot(at, at);
      if (square > 1.0) discard;
      float height = sqrt(1.0 - square);
      vec3 outward = vec3(at.x, -at.y, height);
      float light = 0.55 + 0.5 * max(0.0, dot(outward, normalize(vec3(0.35, 0.55, 0.8))));
      float depth = deep - height * size;
      gl_FragDepth = 0.5 + 0.5 * depth;
      vec3 base = texture(colours, vec2(clamp(shade, 0.002, 0.998), 0.5)).rgb;
      float far = fog * clamp(0.5 + 0.5 * depth, 0.0, 1.0);
      colour = vec4(base * light * (1.0 - 0.4 * far), 1.0);
    }`];

  // A line is a rectangle of a few pixels' width between the places of its ends.
  const LINES = [`#version 300 es
    in vec3 start; in vec3 end; in float value; in vec2 corner;
    uniform mat3 turn; uniform vec3 centre; uniform vec2 zoom; uniform vec2 view; uniform float reach;
    uniform vec2 slab; uniform vec3 normal; uniform float width;
    out float shade;
    void main() {
      vec3 a = turn * (start - centre); vec3 b = turn * (end - centre);
      float along = dot(0.5 * (start + end) - centre, normal);
      vec2 across = normalize((b.xy - a.xy) * zoom * view + vec2(1e-6, 0.0));
      vec3 here = mix(a, b, corner.x);
      vec2 shift = corner.y * width * vec2(-across.y, across.x) / view;
      gl_Position = along < slab.x || along > slab.y ? vec4(2.0, 2.0, 2.0, 1.0)
        : vec4(here.xy * zoom + shift, -here.z / reach, 1.0);
      shade = value;
    }`, `#version 300 es
    precision highp float;
    in float shade; uniform sampler2D colours; uniform vec4 fixed_colour;
    out vec4 colour;
    void main() {
      colour = fixed_colour.a > 0.0 ? fixed_colour
        : vec4(texture(colours, vec2(clamp(shade, 0.002, 0.998), 0.5)).rgb, 1.0);
    }`];

  // Scales told apart with every kind of colour vision: strength from blue to yellow, differences
  // from blue over grey to orange.
  const SCALES = {
    sequential: [[22, 60, 138], [66, 104, 164], [130, 144, 158], [188, 170, 116], [236, 202, 70],
      [255, 236, 110]],
    diverging: [[0, 92, 148], [92, 160, 206], [205, 208, 208], [236, 150, 92], [190, 70, 0]],
  };

  function mix(stops, share) {
    const at = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
    const k = Math.min(stops.length - 2, Math.floor(at));
    return stops[k].map((x, n) => Math.round(x + (at - k) * (stops[k + 1][n] - x)));
  }

  const hex = (text) => [1, 3, 5].map((n) => parseInt(text.slice(n, n + 2), 16));

  BW.decode = (text, type) => {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    return new type(bytes.buffer);
  };

  const rotation = (axis, angle) => {
    const [c, s] = [Math.cos(angle), Math.sin(angle)];
    return axis === "x" ? [1, 0, 0, 0, c, -s, 0, s, c] : [c, 0, s, 0, 1, 0, -s, 0, c];
  };
  const times = (a, b) => [0, 1, 2].flatMap((r) => [0, 1, 2].map((c) =>
    a[3 * r] * b[c] + a[3 * r + 1] * b[3 + c] + a[3 * r + 2] * b[6 + c]));
  const SLOW_MS = 60;
  const FIRST = times(rotation("x", 0.35), rotation("y", -0.5));

  // The drawing itself: data in, pixels out. Throws where there is no WebGL 2.
  class Drawing {
    constructor(canvas, scene) {
      this.canvas = canvas;
      const gl = this.gl = canvas.getContext("webgl2", { antialias: false, alpha: true,
        premultipliedAlpha: false, preserveDrawingBuffer: true });
      if (!gl) throw new Error("no WebGL 2");
      this.scene = scene;
      this.count = scene.positions.length / 3;
      this.atoms = this.program(ATOMS);
      this.lines = this.program(LINES);
      this.atomArray = gl.createVertexArray();
      gl.bindVertexArray(this.atomArray);
      this.attribute(this.atoms, "place", scene.positions, 3);
      this.attribute(this.atoms, "radius", scene.radii, 1);
      this.values = this.attribute(this.atoms, "value", new Float32Array(this.count), 1);
      this.keep = this.attribute(this.atoms, "keep", new Float32Array(this.count).fill(1), 1);
      this.edges = this.segments(scene.edges, new Float32Array(12));
      this.bonds = null;
      this.texture = gl.createTexture();
      this.turn = FIRST;
      this.near = 1;
      this.slab = [-1e9, 1e9];
      this.normal = [0, 0, 1];
      this.line = [0.5, 0.5, 0.5, 1];
      this.detail = 1;
    }

    program([vertex, fragment]) {
      const { gl } = this;
      const made = gl.createProgram();
      for (const [kind, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
        const shader = gl.createShader(kind);
        gl.shaderSource(shader, text);
        gl.compileShader(shader);
        if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) {
          throw new Error(gl.getShaderInfoLog(shader));
        }
        gl.attachShader(made, shader);
      }
      gl.linkProgram(made);
      return made;
    }

    attribute(program, name, data, size, divisor = 0) {
      const { gl } = this;
      const buffer = gl.createBuffer();
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
      const at = gl.getAttribLocation(program, name);
      if (at >= 0) {
        gl.enableVertexAttribArray(at);
        gl.vertexAttribPointer(at, size, gl.FLOAT, false, 0, 0);
        gl.vertexAttribDivisor(at, divisor);
      }
      return buffer;
    }

    // Segments as [x, y, z, x, y, z] each.
    segments(ends, values) {
      const { gl } = this;
      const count = ends.length / 6;
      const array = gl.createVertexArray();
      gl.bindVertexArray(array);
      const take = (from) => Float32Array.from({ length: 3 * count },
        (_, n) => ends[6 * Math.floor(n / 3) + from + (n % 3)]);
      this.attribute(this.lines, "start", take(0), 3, 1);
      this.attribute(this.lines, "end", take(3), 3, 1);
      this.attribute(this.lines, "value", values, 1, 1);
      this.attribute(this.lines, "corner", new Float32Array([0, -1, 0, 1, 1, -1, 1, 1]), 2);
      return { array, count };
    }

    fill(buffer, data) {
      const { gl } = this;
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
    }

    colour(stops) {
      const { gl } = this;
      const table = new Uint8Array(256 * 4);
      for (let n = 0; n < 256; n += 1) table.set([...mix(stops, n / 255), 255], 4 * n);
      gl.bindTexture(gl.TEXTURE_2D, this.texture);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, table);
      for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) {
        gl.texParameteri(gl.TEXTURE_2D, side, gl.CLAMP_TO_EDGE);
      }
      const kind = stops.exact ? gl.NEAREST : gl.LINEAR;
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, kind);
      gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, kind);
    }

    // Half the width of the view in Å, and pixels per Å.
    scale() {
      const { width, height } = this.canvas;
      const half = (0.84 * this.scene.reach) / this.near;
      const pixels = Math.min(width, height) / 2 / half;
      return { pixels, zoom: [pixels / (width / 2), pixels / (height / 2)] };
    }

    draw() {
      const { gl, canvas } = this;
      const ratio = this.detail * Math.min(devicePixelRatio || 1, 2);
      const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((x) => Math.round(x * ratio));
      if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
      gl.viewport(0, 0, width, height);
      gl.clearColor(0, 0, 0, 0);
      gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
      gl.enable(gl.DEPTH_TEST);
      gl.bindTexture(gl.TEXTURE_2D, this.texture);
      this.use(this.atoms);
      gl.uniform1f(gl.getUniformLocation(this.atoms, "pixels"), this.scale().pixels);
      gl.uniform1f(gl.getUniformLocation(this.atoms, "fog"), 1);
      gl.bindVertexArray(this.atomArray);
      gl.drawArrays(gl.POINTS, 0, this.count);
      this.use(this.lines);
      gl.uniform2f(gl.getUniformLocation(this.lines, "view"), width / 2, height / 2);
      this.strokes(this.edges, this.line, 0.9 * ratio, true);
      if (this.bonds) this.strokes(this.bonds, [0, 0, 0, 0], 2.2 * ratio, false);
    }

    use(program) {
      const { gl } = this;
      gl.useProgram(program);
      const at = (name) => gl.getUniformLocation(program, name);
      gl.uniformMatrix3fv(at("turn"), true, this.turn);
      gl.uniform3fv(at("centre"), this.scene.centre);
      gl.uniform2fv(at("zoom"), this.scale().zoom);
      gl.uniform1f(at("reach"), 1.2 * this.scene.reach);
      gl.uniform2fv(at("slab"), this.slab);
      gl.uniform3fv(at("normal"), this.normal);
    }

    strokes(group, fixed, width, whole) {
      const { gl } = this;
      if (whole) gl.uniform2f(gl.getUniformLocation(this.lines, "slab"), -1e9, 1e9);
      else gl.uniform2fv(gl.getUniformLocation(this.lines, "slab"), this.slab);
      gl.uniform4fv(gl.getUniformLocation(this.lines, "fixed_colour"), fixed);
      gl.uniform1f(gl.getUniformLocation(this.lines, "width"), width);
      gl.bindVertexArray(group.array);
      gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, group.count);
    }

    // Where an atom is on the canvas, in CSS pixels; and how near to the reader.
    project(n) {
      const { positions, centre } = this.scene;
      const from = [0, 1, 2].map((k) => positions[3 * n + k] - centre[k]);
      const along = from.reduce((sum, x, k) => sum + x * this.normal[k], 0);
      const seen = [0, 1, 2].map((r) => from.reduce((sum, x, k) => sum + x * this.turn[3 * r + k], 0));
      const { zoom } = this.scale();
      return { x: (0.5 + (seen[0] * zoom[0]) / 2) * this.canvas.clientWidth,
        y: (0.5 - (seen[1] * zoom[1]) / 2) * this.canvas.clientHeight, z: seen[2],
        cut: along < this.slab[0] || along > this.slab[1] };
    }
  }

  function unpack(raw) {
    const positions = BW.decode(raw.positions, Float32Array);
    const kinds = BW.decode(raw.kinds, Uint8Array);
    const radii = Float32Array.from(kinds, (k) => raw.elements[k].radius);
    const cell = raw.cell;
    const corner = (a, b, c) => [0, 1, 2].map((n) => raw.origin[n] + a * cell[n] + b * cell[3 + n] + c * cell[6 + n]);
    const edges = [];
    for (const [p, q] of [[0, 0], [0, 1], [1, 0], [1, 1]]) {
      edges.push(...corner(0, p, q), ...corner(1, p, q), ...corner(p, 0, q), ...corner(p, 1, q),
        ...corner(p, q, 0), ...corner(p, q, 1));
    }
    let [low, high] = [[Infinity, Infinity, Infinity], [-Infinity, -Infinity, -Infinity]];
    for (let n = 0; n < positions.length; n += 1) {
      low[n % 3] = Math.min(low[n % 3], positions[n]);
      high[n % 3] = Math.max(high[n % 3], positions[n]);
    }
    const centre = low.map((x, k) => (x + high[k]) / 2);
    const reach = Math.hypot(...high.map((x, k) => (x - low[k]) / 2)) || 1;
    return { ...raw, positions, kinds, radii, edges: new Float32Array(edges), centre, reach,
      values: Object.fromEntries(Object.entries(raw.values).map(([name, v]) =>
        [name, { ...v, data: BW.decode(v.data, Float32Array) }])),
      bonds: raw.bonds && Object.fromEntries(Object.entries(raw.bonds).map(([name, b]) =>
        [name, { ends: BW.decode(b.ends, Float32Array), values: BW.decode(b.values, Float32Array) }])) };
  }

  // A figure: the drawing, its colour scale and its controls.
  BW.scene = (place, raw) => {
    const scene = unpack(raw);
    const canvas = el("canvas", { class: "glass-canvas" });
    const stage = el("div", { class: "glass-stage", tabindex: "0", role: "img",
      "aria-label": `${raw.title}: ${BW.number(scene.kinds.length, 0)} atoms as spheres. Arrow keys turn ` +
        "the view, plus and minus zoom, Home goes back to the first view." }, canvas);
    const told = el("p", { class: "glass-told", role: "status" }, "Point at an atom for its numbers.");
    const bar = el("canvas", { class: "glass-bar", width: 256, height: 1, "aria-hidden": true });
    const ends = [el("span"), el("span")];
    let drawing;
    try {
      drawing = new Drawing(canvas, scene);
    } catch (error) {
      place.replaceChildren(el("p", { class: "warning" }, "This browser offers no WebGL 2, which the " +
        "3D view needs. The atoms are in the prediction's folder; OVITO opens atoms.extxyz."));
      return null;
    }

    // Without a graphics card a picture takes a tenth of a second: while it is being turned, it is
    // then drawn with half as many pixels to a side.
    let [waiting, held, before] = [false, null, 0];
    const refresh = () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame((now) => {
        waiting = false;
        if (!held) drawing.detail = 1;
        else if (now - before > SLOW_MS && now - before < 1000) drawing.detail = 0.5;
        before = now;
        drawing.draw();
      });
    };

    let name = Object.keys(scene.values)[0];
    function paint() {
      const value = scene.values[name];
      const { low, high } = value;
      drawing.fill(drawing.values, value.data.map((x) => (x - low) / (high - low || 1)));
      let stops = SCALES[value.scale];
      if (value.scale === "kinds") {
        const steps = value.colours.map(hex);
        stops = Array.from({ length: 256 }, (_, n) => steps[Math.min(steps.length - 1,
          Math.floor((n / 256) * steps.length))]);
        stops.exact = true;
      }
      drawing.colour(stops);
      const pen = bar.getContext("2d");
      for (let n = 0; n < 256; n += 1) {
        pen.fillStyle = `rgb(${mix(stops, n / 255).join(" ")})`;
        pen.fillRect(n, 0, 1, 1);
      }
      ends[0].textContent = value.names ? value.names.join(", ") : BW.number(low, value.digits);
      ends[1].textContent = value.names ? "" : `${BW.number(high, value.digits)} ${value.unit}`;
      refresh();
    }

    function theme() {
      drawing.line = [...hex(BW.color("strong-line")).map((x) => x / 255), 1];
      refresh();
    }

    const turn = (dx, dy) => {
      drawing.turn = times(times(rotation("x", dy), rotation("y", dx)), drawing.turn);
      refresh();
    };
    const zoom = (factor) => {
      drawing.near = Math.min(20, Math.max(0.5, drawing.near * factor));
      refresh();
    };
    const reset = () => {
      drawing.turn = FIRST;
      drawing.near = 1;
      refresh();
    };

    const release = () => {
      held = null;
      refresh();
    };
    stage.addEventListener("pointerdown", (event) => {
      held = [event.clientX, event.clientY];
      stage.setPointerCapture(event.pointerId);
    });
    stage.addEventListener("pointerup", release);
    stage.addEventListener("pointercancel", release);
    stage.addEventListener("pointermove", (event) => {
      if (held) {
        turn((event.clientX - held[0]) / 160, (event.clientY - held[1]) / 160);
        held = [event.clientX, event.clientY];
      } else pick(event);
    });
    stage.addEventListener("wheel", (event) => {
      if (document.activeElement !== stage) return; // the page scrolls on
      event.preventDefault();
      zoom(Math.exp(-event.deltaY / 400));
    }, { passive: false });
    stage.addEventListener("keydown", (event) => {
      const turns = { ArrowLeft: [-0.12, 0], ArrowRight: [0.12, 0], ArrowUp: [0, -0.12], ArrowDown: [0, 0.12] };
      if (turns[event.key]) turn(...turns[event.key]);
      else if (event.key === "+" || event.key === "=") zoom(1.15);
      else if (event.key === "-") zoom(1 / 1.15);
      else if (event.key === "Home") reset();
      else return;
      event.preventDefault();
    });

    let picking = false;
    function pick(event) {
      if (picking) return;
      picking = true;
      requestAnimationFrame(() => {
        picking = false;
        const frame = canvas.getBoundingClientRect();
        const [x, y] = [event.clientX - frame.left, event.clientY - frame.top];
        const size = drawing.scale().pixels * (canvas.clientWidth / canvas.width);
        let [best, near] = [-1, -Infinity];
        for (let n = 0; n < scene.kinds.length; n += 1) {
          const at = drawing.project(n);
          if (at.cut || at.z < near) continue;
          if ((at.x - x) ** 2 + (at.y - y) ** 2 <= (scene.radii[n] * size) ** 2) [best, near] = [n, at.z];
        }
        if (best < 0) return;
        const numbers = Object.values(scene.values).filter((v) => !v.names)
          .map((v) => `${v.title} ${BW.number(v.data[best], v.digits)} ${v.unit}`);
        told.textContent = `${scene.elements[scene.kinds[best]].name}, atom ${scene.ids ? scene.ids[best] : best + 1}: ` +
          numbers.join("; ");
      });
    }

    const select = (label, options, change) => el("label", { class: "field" }, label,
      el("select", { onchange: (event) => change(event.target.value) },
        options.map(([value, text]) => el("option", { value }, text))));
    const tools = [select("Colour", Object.entries(scene.values).map(([k, v]) => [k, v.title]),
      (value) => { name = value; paint(); })];
    tools.push(select("Show", [["all", "all atoms"], ...scene.elements.map((e, k) => [k, `${e.name} only`])],
      (value) => {
        drawing.fill(drawing.keep, Float32Array.from(scene.kinds, (k) => (value === "all" || Number(value) === k ? 1 : 0)));
        refresh();
      }));
    if (scene.bonds) {
      tools.push(select("Bonds", [["none", "none"], ...Object.keys(scene.bonds).map((k) => [k, k])], (value) => {
        const chosen = scene.bonds[value];
        drawing.bonds = chosen ? drawing.segments(chosen.ends, chosen.values) : null;
        drawing.fill(drawing.keep, new Float32Array(scene.kinds.length).fill(chosen ? 0 : 1));
        refresh();
      }));
    }
    // Cutting the glass open: a slab across the third cell vector.
    const across = normal(raw.cell);
    const depth = Math.abs(raw.cell[6] * across[0] + raw.cell[7] * across[1] + raw.cell[8] * across[2]);
    drawing.normal = across;
    const slice = el("input", { type: "range", min: 0, max: 100, value: 100, "aria-label": "Cut the glass open",
      oninput: () => {
        const share = Number(slice.value) / 100;
        drawing.slab = share === 1 ? [-1e9, 1e9] : [-1e9, depth * (share - 0.5)];
        refresh();
      } });
    tools.push(el("label", { class: "field" }, "Cut open", slice));
    tools.push(el("button", { type: "button", class: "plain", onclick: reset }, "Reset"));

    place.replaceChildren(el("div", { class: "glass-tools" }, tools), stage,
      el("div", { class: "glass-legend" }, ends[0], bar, ends[1]), told,
      el("p", { class: "note" }, "Drag to turn; click, then scroll, to zoom."));
    new ResizeObserver(refresh).observe(stage);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", theme);
    theme();
    paint();
    place.dataset.ready = "true";
    place.drawing = drawing; // for tests and measurements
    return drawing;
  };

  function normal(cell) {
    const [a, b] = [cell.slice(0, 3), cell.slice(3, 6)];
    const n = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
    const size = Math.hypot(...n) || 1;
    return n.map((x) => x / size);
  }
})();
