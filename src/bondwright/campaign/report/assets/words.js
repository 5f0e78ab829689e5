"use strict";
// Numbers and words for people.
(() => {
  const MINUS = "\u2212";
  const DASH = "\u2013";

  BW.number = (value, digits) => {
    if (value === null || value === undefined) return DASH;
    const text = Math.abs(value).toFixed(digits);
    const [whole, rest] = text.split(".");
    const grouped = whole.replace(/\B(?=(\d{3})+$)/g, "\u202f") + (rest ? `.${rest}` : "");
    return value < 0 && Number(text) !== 0 ? MINUS + grouped : grouped;
  };

  // A number whose useful digits are not known beforehand.
  BW.plain = (value) => {
    if (Number.isInteger(value)) return BW.number(value, 0);
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-3 || size >= 1e6)) {
      return value.toExponential(2).replace("-", MINUS);
    }
    return String(Number(value.toPrecision(4))).replace("-", MINUS);
  };

  BW.percent = (value) => {
    if (value === null || value === undefined) return DASH;
    const text = BW.number(100 * value, 1);
    return (value > 0 && text !== "0.0" ? "+" : "") + text + "\u00a0%";
  };

  BW.duration = (seconds) => {
    if (seconds === null || seconds === undefined) return DASH;
    if (seconds < 60) return `${BW.number(seconds, seconds < 10 ? 1 : 0)}\u00a0s`;
    const minutes = Math.round(seconds / 60);
    return minutes < 60 ? `${minutes}\u00a0min`
      : `${Math.floor(minutes / 60)}\u00a0h ${String(minutes % 60).padStart(2, "0")}\u00a0min`;
  };

  BW.quantity = (name) =>
    BW.data.quantities[name] || { title: name.replaceAll("_", " "), unit: "", digits: 3 };

  BW.axisTitle = (name) => {
    const q = BW.quantity(name);
    return q.unit ? `${q.title} (${q.unit})` : q.title;
  };

  BW.withUnit = (value, name) => {
    const q = BW.quantity(name);
    const text = BW.number(value, q.digits);
    return q.unit && value !== undefined ? `${text}\u00a0${q.unit}` : text;
  };

  BW.reason = (slug) => BW.data.reasons[slug] || (slug || "").replaceAll("-", " ");

  BW.stageTitle = (name) => (BW.data.stages.find((s) => s.name === name) || { title: name }).title;

  // "Atoms too close, at validity": why a candidate is where it is, in a few words.
  BW.why = (row) => {
    if (row.outcome === "survived") return "passed every stage";
    if (row.outcome === "waiting") {
      return row.stage ? `waits for ${BW.stageTitle(row.stage).toLowerCase()}` : "waits";
    }
    return row.reason ? BW.reason(row.reason) : row.outcome;
  };

  BW.capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

  // Keys such as "shortest_A" carry their unit; people read "shortest (Å)".
  BW.label = (key) => {
    for (const [suffix, unit] of Object.entries(BW.data.units)) {
      if (key.endsWith(suffix)) {
        return `${key.slice(0, -suffix.length).replaceAll("_", " ")} (${unit})`;
      }
    }
    return key.replaceAll("_", " ");
  };

  const SYMBOLS = { passed: "\u2713", rejected: "\u2715", unknown: "?", failed: "!", known: "=", "not-selected": "\u2013",
    "": "\u00b7" };
  BW.mark = (outcome, title) =>
    BW.el("span", { class: `mark ${outcome || "none"}`, title, "aria-hidden": true },
      SYMBOLS[outcome] || SYMBOLS[""]);

  BW.chip = (outcome) => BW.el("span", { class: `chip ${outcome}` }, outcome);
})();
