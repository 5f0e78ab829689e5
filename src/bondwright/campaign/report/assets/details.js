"use strict";
// What opens below a row: every verdict, the structure before and after, the files.
(() => {
  const { el } = BW;

  function value(data) {
    if (data === null || data === undefined || data === "") return "\u2013";
    if (data === true) return "yes";
    if (data === false) return "no";
    if (typeof data === "number") return BW.plain(data);
    if (Array.isArray(data)) {
      if (!data.length) return "none";
      if (data.length > 8 && data.every((x) => typeof x === "number")) return BW.spark(data);
      return data.some((x) => x !== null && typeof x === "object")
        ? el("ol", {}, data.map((x) => el("li", {}, value(x))))
        : data.map((x) => value(x)).join(", ");
    }
    if (typeof data === "object") return BW.facts(data);
    return String(data);
  }

  BW.facts = (data) => el("dl", { class: "facts" },
    Object.entries(data).map(([key, item]) =>
      el("div", {}, el("dt", {}, BW.label(key)), el("dd", {}, value(item)))));

  function verdict(item, row) {
    const stage = BW.data.stages.findIndex((s) => s.name === item.stage);
    const known = row.marks[stage] === "known";
    const outcome = known ? "recognised as known, as it should be"
      : item.reason ? `${item.outcome}: ${BW.reason(item.reason)}` : item.outcome;
    const setting = BW.data.settings[item.settings];
    const main = item.value === undefined ? null
      : el("span", { class: "verdict-value" }, BW.plain(item.value), item.unit ? ` ${item.unit}` : "");
    const more = [
      item.details ? BW.facts(item.details) : null,
      setting && (setting.version || Object.keys(setting.settings).length)
        ? el("details", { class: "settings" }, el("summary", {}, "Settings of this check"),
          el("p", {}, setting.version), BW.facts(setting.settings)) : null,
    ].filter(Boolean);
    const head = [
      BW.mark(known ? "known" : item.outcome), el("strong", {}, BW.stageTitle(item.stage)),
      el("span", { class: "verdict-outcome" }, outcome), main];
    const message = item.message
      ? el("span", { class: "message" }, BW.capital(item.message)) : null;
    return el("li", { class: `verdict ${item.outcome}` },
      more.length
        ? el("details", {}, el("summary", {}, head, message), more)
        : el("div", { class: "bare" }, head, message));
  }

  const trio = (numbers, digits) => numbers ? numbers.map((x) => BW.number(x, digits)).join(", ") : null;

  function change(row, full) {
    const [before, after] = [full.measures, full.measures_relaxed];
    const stability = (full.verdicts || []).find((v) => v.stage === "stability");
    const energies = stability && stability.details ? stability.details : {};
    const lines = [
      ["Space group found", before?.group, after?.group],
      ["Cell a, b, c (\u00c5)", trio(before?.lengths, 3), trio(after?.lengths, 3)],
      ["Angles \u03b1, \u03b2, \u03b3 (\u00b0)", trio(before?.angles, 1), trio(after?.angles, 1)],
      ["Volume per atom (\u00c5\u00b3)", before && BW.number(before.volume_per_atom, 2),
        after && `${BW.number(after.volume_per_atom, 2)}${row.volume_change === undefined ? ""
          : ` (${BW.percent(row.volume_change)})`}`],
      ["Density (g/cm\u00b3)", before && BW.number(before.density, 2),
        after && BW.number(after.density, 2)],
      ["Energy (eV/atom)", number(energies.initial_energy_eV_per_atom, 4),
        number(energies.energy_eV_per_atom, 4)],
    ].filter(([, a, b]) => a || b);
    if (!lines.length) return null;
    const table = el("table", { class: "change" },
      el("caption", {}, after ? "Before and after relaxation" : "The structure"),
      el("thead", {}, el("tr", {}, el("td"), el("th", { scope: "col" }, "As received"),
        after ? el("th", { scope: "col" }, "Relaxed") : null)),
      el("tbody", {}, lines.map(([title, a, b]) => el("tr", {},
        el("th", { scope: "row" }, title), el("td", {}, a || "\u2013"),
        after ? el("td", {}, b || "\u2013") : null))));
    const moved = full.displacement === undefined ? null : el("p", { class: "note" },
      `The atom that moved most went ${BW.number(full.displacement, 2)}\u00a0\u00c5, apart from ` +
      "the change of the cell.");
    return el("div", {}, table, moved);
  }

  const number = (x, digits) => (typeof x === "number" ? BW.number(x, digits) : null);

  function save(text, name) {
    const url = URL.createObjectURL(new Blob([text], { type: "chemical/x-cif" }));
    const link = el("a", { href: url, download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }

  async function copy(text, button) {
    const label = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch (error) {
      // A page opened from a disk may not have the clipboard; the old way still works there.
      const field = el("textarea", { class: "visually-hidden" });
      field.value = text;
      document.body.append(field);
      field.select();
      document.execCommand("copy");
      field.remove();
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = label; }, 1500);
  }

  function actions(row, full) {
    const button = (text, onclick) => el("button", { type: "button", class: "plain", onclick }, text);
    const buttons = [
      full.text ? button("Download CIF", () => save(full.text, `${row.key}.cif`)) : null,
      full.text_relaxed
        ? button("Download relaxed CIF", () => save(full.text_relaxed, `${row.key}-relaxed.cif`)) : null,
    ];
    const copier = button("Copy key", () => copy(row.key, copier));
    return el("div", { class: "actions" }, buttons, copier, el("code", {}, row.key));
  }

  function about(row, full) {
    const asked = row.asked && Object.entries(row.asked)
      .map(([name, x]) => `${BW.quantity(name).title.toLowerCase()} ${BW.withUnit(x, name)}`).join(", ");
    const lines = [
      ["From", row.origin],
      ["Asked for", asked],
      ["Cell", full.cell_formula],
      ["Repeats", row.duplicate_of],
      ["Known as", row.matches && row.matches.join(", ")],
      ["Notes", full.notes && full.notes.join("; ")],
    ].filter(([, text]) => text);
    const extra = full.extra && Object.keys(full.extra).length
      ? el("details", { class: "settings" },
        el("summary", {}, "Other columns of its table"), BW.facts(full.extra)) : null;
    return el("div", {}, el("dl", { class: "facts about" }, lines.map(([title, text]) =>
      el("div", {}, el("dt", {}, title), el("dd", {}, text)))), extra);
  }

  BW.details = (row) => {
    const full = BW.data.details[row.key];
    if (!full) {
      return el("div", { class: "panel" }, el("p", { class: "note" },
        "The details of this candidate were left out to keep this page small. ",
        el("code", {}, `bondwright show ${row.key}`), " prints them."));
    }
    const structures = [
      full.drawn ? { title: "As received", drawn: full.drawn } : null,
      full.drawn_relaxed ? { title: "Relaxed", drawn: full.drawn_relaxed } : null,
    ].filter(Boolean);
    const picture = structures.length ? BW.viewer(structures, `${row.name} ${row.formula || ""}`)
      : el("p", { class: "no-picture" }, row.atoms
        ? `This cell is not drawn: ${BW.number(row.atoms, 0)} atoms or no volume to speak of.`
        : "There is no structure to draw.");
    return el("div", { class: "panel" },
      el("div", { class: "panel-side" }, picture, actions(row, full)),
      el("div", { class: "panel-main" },
        el("ol", { class: "verdicts" }, (full.verdicts || []).map((v) => verdict(v, row))),
        change(row, full), about(row, full)));
  };
})();
