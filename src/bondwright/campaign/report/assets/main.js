"use strict";
// Filling the page: tables, figures, links between them.
(() => {
  const { el, data } = BW;
  const at = (id) => document.getElementById(id);
  const rows = data.rows;
  const candidates = rows.filter((row) => !row.control);
  const controls = rows.filter((row) => row.control);
  const survivors = candidates.filter((row) => row.outcome === "survived");

  const group = (row) => {
    const full = data.details[row.key];
    return full && ((full.measures_relaxed || full.measures || {}).group);
  };

  const column = {
    name: { title: "Candidate", value: (r) => r.name, cell: (r) => r.name },
    formula: { title: "Formula", value: (r) => r.formula, cell: (r) => r.formula || "\u2013" },
    group: { title: "Space group", hint: "Found with a tolerance of 0.1 \u00c5, after relaxation",
      value: group, cell: (r) => group(r) || "\u2013" },
    hull: { title: "Above hull", unit: "eV/atom", hint: "Energy above the convex hull", number: true, value: (r) => r.energy_above_hull,
      cell: (r) => BW.number(r.energy_above_hull, 3) },
    gap: { title: "Band gap", unit: "eV", hint: "Estimate \u00b1 its standard deviation; ? where the model has seen nothing alike", number: true,
      value: (r) => r.band_gap, cell: (r) => BW.number(r.band_gap, 2) +
        (r.band_gap === undefined ? "" : r.band_gap_sigma === undefined ? " \u00b1 ?"
          : ` \u00b1 ${BW.number(r.band_gap_sigma, 2)}`) },
    density: { title: "Density", unit: "g/cm\u00b3", number: true, value: (r) => r.density,
      cell: (r) => BW.number(r.density, 2) },
    volume: { title: "Volume change", hint: "During relaxation", number: true,
      value: (r) => r.volume_change, cell: (r) => BW.percent(r.volume_change) },
    unique: yesNo("unique", "Unique", "No other candidate of this campaign is the same crystal"),
    newFormula: yesNo("novel_composition", "New formula", "No known crystal has this composition"),
    newGroup: yesNo("novel_space_group", "New group",
      "No known crystal of this composition has this space group"),
    newStructure: yesNo("novel_structure", "New structure", "No known crystal matches it"),
    asked: { title: "Asked for", value: (r) => r.asked && Object.values(r.asked)[0],
      number: true, cell: asked },
    origin: { title: "From", value: (r) => r.origin,
      cell: (r) => el("span", { class: "origin", title: r.origin }, r.origin) },
    atoms: { title: "Atoms", number: true, value: (r) => r.atoms, cell: (r) => BW.number(r.atoms, 0) },
    outcome: { title: "Outcome", value: (r) => r.outcome, cell: (r) => BW.chip(r.outcome) },
    stage: { title: "Stopped at",
      value: (r) => r.stage && data.stages.findIndex((s) => s.name === r.stage),
      cell: (r) => (r.stage ? BW.stageTitle(r.stage) : "\u2013") },
    why: { title: "Why", value: (r) => BW.why(r), cell: (r) => el("span", { class: "why",
      title: r.message }, BW.capital(BW.why(r))) },
    message: { title: "What stopped it", value: (r) => BW.why(r),
      cell: (r) => el("span", { class: "told" }, BW.capital(r.message || BW.why(r))) },
    marks: { title: "Stages", hint: "One mark per stage, in the order of the funnel",
      value: (r) => r.marks.filter((m) => m === "passed").length, cell: marks },
  };

  function yesNo(key, title, hint) {
    const said = (r) => (r[key] === undefined ? undefined : r[key] ? "yes" : "no");
    return { title, hint, value: said, cell: (r) => said(r) || "\u2013" };
  }

  function asked(row) {
    if (!row.asked) return "\u2013";
    return Object.entries(row.asked).map(([name, x]) => BW.withUnit(x, name)).join(", ");
  }

  function marks(row) {
    const said = data.stages.map((s, n) => `${s.title}: ${(row.marks[n] || "not asked").replace("-", " ")}`);
    return el("span", { class: "marks", role: "img", "aria-label": said.join(", ") },
      row.marks.map((m, n) => BW.mark(m, said[n])));
  }

  const has = (list, key) => list.some((row) => row[key] !== undefined);
  const only = (list, choices) => choices.filter(([key]) => key === true || has(list, key))
    .map(([, chosen]) => chosen);

  const measured = (list) => only(list, [[true, column.name], [true, column.formula],
    [true, column.group], ["energy_above_hull", column.hull], ["band_gap", column.gap],
    ["density", column.density], ["volume_change", column.volume], ["unique", column.unique],
    ["novel_composition", column.newFormula],
    ["novel_space_group", column.newGroup], ["novel_structure", column.newStructure],
    ["asked", column.asked]]);

  const byHull = (columns) => (columns.includes(column.hull)
    ? { column: columns.indexOf(column.hull), down: false } : null);

  const tables = [];
  function table(id, list, columns, options = {}) {
    const place = at(id);
    if (place) tables.push(new BW.Table(place, { rows: list, columns, ...options }));
  }

  function survivorTable() {
    const columns = [...measured(survivors), column.origin];
    table("survivor-table", survivors, columns, { caption: "Survivors", sort: byHull(columns),
      search: survivors.length > 10 });
  }

  function controlTable() {
    const columns = [...measured(controls).filter((c) => c !== column.asked), column.marks];
    table("control-table", controls, columns, { caption: "Controls" });
  }

  function dftTable() {
    const list = data.dft.map((found) => ({ ...BW.byKey.get(found.key), dft: found }));
    const value = (name) => (r) => r.dft[name];
    const of = (title, unit, hint, name, digits) => ({ title, unit, hint, number: true,
      value: value(name), cell: (r) => BW.number(r.dft[name], digits) });
    const columns = [
      { title: "Structure", value: (r) => r.name, cell: (r) => r.name },
      { title: "Kind", value: (r) => Boolean(r.control), cell: (r) => (r.control ? "control" : "candidate") },
      column.formula,
      { title: "Result", value: (r) => r.dft.outcome, cell: dftResult },
      { title: "Energy", unit: "eV/atom", number: true, hint: "Above the lowest control of the same composition",
        value: value("relative"), cell: (r) => (r.dft.relative === undefined
          ? el("span", { class: "aside", title: "No control of the same composition, or no energy" }, "unknown")
          : el("span", { title: `relative to ${r.dft.relative_to}` }, BW.number(r.dft.relative, 3))) },
      { title: "Above hull", unit: "eV/atom", number: true, hint: "Below the table: why it is unknown",
        value: value("above_hull"), cell: (r) => (r.dft.above_hull === undefined
          ? el("span", { class: "aside" }, "unknown") : BW.number(r.dft.above_hull, 3)) },
      { title: "Gap", unit: "eV", number: true, value: value("gap"),
        cell: (r) => (r.dft.gap === 0 ? "metal" : BW.number(r.dft.gap, 2)) },
      { title: "Volume change", hint: "During relaxation with DFT", number: true,
        value: value("volume_change"), cell: (r) => BW.percent(r.dft.volume_change) },
      of("Strongest bond", "eV", "Its \u2212ICOHP", "strongest", 2),
      ...(data.dft.some((found) => found.moment !== undefined)
        ? [of("Moment", "\u03bcB", "Magnetic moment of the cell", "moment", 2)] : []),
      of("Steps", "", "Of the relaxation", "steps", 0),
      { title: "Time", number: true, value: value("seconds"),
        cell: (r) => BW.duration(r.dft.seconds) },
    ];
    table("dft-table", list, columns, { caption: "Structures calculated with DFT" });
  }

  function dftResult(row) {
    const found = row.dft;
    const said = found.outcome === "passed" ? "converged"
      : `${found.outcome}: ${BW.reason(found.reason)}`;
    const tried = found.corrections?.length
      ? el("span", { class: "told" }, `Tried: ${found.corrections.join(", ")}`) : null;
    const kind = found.outcome === "passed" ? "survived" : found.outcome;
    return el("span", {}, el("span", { class: `chip ${kind}` }, said), tried);
  }

  function nearestTable() {
    const near = data.nearest.map((key) => BW.byKey.get(key));
    const columns = only(near, [[true, column.name], [true, column.formula], [true, column.group],
      [true, column.stage], ["energy_above_hull", column.hull], ["density", column.density],
      ["asked", column.asked], [true, column.message]]);
    table("nearest-table", near, columns, { caption: "Candidates that came nearest" });
  }

  function everyTable() {
    const outcomes = [...new Set(candidates.map((r) => r.outcome))].sort();
    const reasons = new Map();
    for (const r of candidates) if (r.reason) reasons.set(r.reason, (reasons.get(r.reason) || 0) + 1);
    const sorted = [...reasons].sort((a, b) => b[1] - a[1]);
    const columns = only(candidates, [[true, column.name], [true, column.formula],
      ["atoms", column.atoms], [true, column.outcome], [true, column.stage], [true, column.why],
      ["energy_above_hull", column.hull], ["density", column.density], ["asked", column.asked]]);
    table("every-table", candidates, columns, { caption: "All candidates", search: true, filters: [
      { title: "Outcome", all: "Every outcome", keep: (r, v) => r.outcome === v,
        options: outcomes.map((o) => ({ value: o, text: BW.capital(o) })) },
      { title: "Reason", all: "Every reason", keep: (r, v) => r.reason === v,
        options: sorted.map(([slug, n]) => ({ value: slug, text: `${BW.capital(BW.reason(slug))} (${n})` })) },
    ] });
  }

  // Open a candidate in the first table that holds it.
  function open(key) {
    history.replaceState(null, "", `#candidate-${key}`);
    return tables.some((t) => t.show(key));
  }

  function askedLines() {
    const lines = {};
    const add = (name, x, word) => {
      const value = Number(x.toPrecision(3));
      const known = (lines[name] ||= new Map());
      known.set(value, known.has(value) && word === "target"
        ? `target and ${known.get(value)}` : `${word}: ${BW.withUnit(value, name)}`);
    };
    for (const row of candidates) {
      for (const [name, x] of Object.entries(row.asked || {})) add(name, x, "asked");
    }
    for (const [name, x] of Object.entries(data.targets)) add(name, x, "target");
    return Object.fromEntries(Object.entries(lines).map(([name, map]) =>
      [name, [...map].slice(0, 6).map(([value, text]) => ({ at: value, text }))]));
  }

  function map() {
    const place = at("map-chart");
    if (!place) return;
    const placed = rows.filter((r) => r.energy_above_hull !== undefined);
    const choices = ["band_gap", "density", "volume_per_atom"].filter((name) => has(placed, name));
    // The band gap is estimated late in the funnel: it leads only where most candidates have one.
    const share = placed.filter((r) => r.band_gap !== undefined).length / placed.length;
    if (share < 0.5 && choices[0] === "band_gap") choices.push(choices.shift());
    const figure = BW.scatter(place, { property: choices[0], asked: askedLines(),
      threshold: data.thresholds.hull, open });
    const select = el("select", { id: "map-property", onchange: (e) => figure.change(e.target.value) },
      choices.map((name) => el("option", { value: name }, BW.axisTitle(name))));
    at("map-tools").append(figure.legend, el("label", { class: "field" }, "Across ", select));
  }

  function contacts() {
    const place = at("contact-chart");
    if (!place) return;
    const of = (keep) => candidates.filter((r) => r.contact !== undefined && keep(r)).map((r) => r.contact);
    const stopped = (r) => r.stage === "validity" && r.outcome === "rejected";
    const all = candidates.map((r) => r.contact).filter((x) => x !== undefined);
    const low = Math.floor(10 * Math.min(...all)) / 10;
    const high = Math.min(low + 2, Math.ceil(10 * Math.max(...all) + 1) / 10);
    BW.histogram(place, {
      series: [
        { style: "passed", text: "passed validity", values: of((r) => !stopped(r)) },
        { style: "rejected", text: "rejected at validity", values: of(stopped) },
      ],
      low, high, bins: Math.round(40 * (high - low)), height: 280,
      title: "Shortest contact over the sum of covalent radii",
      lines: data.thresholds.contact === undefined ? []
        : [{ at: data.thresholds.contact, text: `limit ${data.thresholds.contact}` }],
      marks: controls.filter((r) => r.contact !== undefined)
        .map((r) => ({ at: r.contact, text: `${r.name}: ${BW.plain(r.contact)}` })),
      label: "Histogram of the shortest contact of each candidate" });
    at("contact-tools").append(BW.legend([
      { shape: "circle", style: "point survived", text: "passed validity" },
      { shape: "circle", style: "bar rejected", text: "rejected at validity" },
      ...(controls.length ? [{ shape: "diamond", style: "point control", text: "control" }] : []),
    ]));
  }

  // One histogram per asked value, one below the other on the same axis.
  function asking() {
    document.querySelectorAll("[data-effect]").forEach((place) => {
      const effect = data.effects[Number(place.dataset.effect)];
      const values = effect.groups.flatMap((g) => g.values);
      if (!values.length) return;
      const asked = effect.groups.map((g) => g.asked).filter((a) => a !== null);
      const [low, high] = BW.padded([...values, ...asked], 0.04);
      effect.groups.forEach((g, n) => {
        const strip = el("div", { class: "strip" });
        place.append(el("h3", {}, g.asked === null ? "Asked for nothing" : `Asked for ${g.label}`), strip);
        BW.histogram(strip, {
          series: [{ style: "passed", text: "candidates", values: g.values }],
          low, high, bins: 40, height: n === effect.groups.length - 1 ? 170 : 150,
          title: n === effect.groups.length - 1 ? BW.axisTitle(effect.name) : "",
          lines: [
            { at: g.median, text: `median ${BW.number(g.median, 2)}` },
            ...(g.asked === null ? [] : [{ at: g.asked, text: "asked", style: "asked" }]),
          ],
          label: `${BW.axisTitle(effect.name)} of candidates asked for ${g.label}` });
      });
    });
  }

  survivorTable();
  nearestTable();
  controlTable();
  dftTable();
  everyTable();
  map();
  contacts();
  asking();

  const linked = /^#candidate-(.+)$/.exec(location.hash);
  if (linked) open(decodeURIComponent(linked[1]));

  // On paper nothing can be opened, so what is folded stands open there.
  addEventListener("beforeprint", () => {
    document.querySelectorAll("main > section > details").forEach((d) => { d.open = true; });
  });
  document.documentElement.dataset.ready = "true";
})();
