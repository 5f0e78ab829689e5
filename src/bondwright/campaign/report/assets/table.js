"use strict";
// A table that sorts, filters, turns pages and opens rows.
(() => {
  const COLLATOR = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return COLLATOR.compare(String(a), String(b));
  }

  BW.Table = class {
    // columns: {title, unit, hint, number, value(row) -> sortable, cell(row) -> node}
    constructor(place, options) {
      this.place = place;
      this.columns = options.columns;
      this.rows = options.rows;
      this.size = options.pageSize || 25;
      this.sort = options.sort || null;
      this.caption = options.caption;
      this.filters = options.filters || [];
      this.search = options.search || false;
      this.query = "";
      this.page = 0;
      this.open = new Map();
      this.chosen = new Map();
      this.build();
      this.refresh();
    }

    build() {
      this.status = BW.el("p", { class: "shown", role: "status" });
      this.head = BW.el("tr");
      this.body = BW.el("tbody");
      this.columns.forEach((column, index) => {
        const button = BW.el("button", { type: "button", title: column.hint,
          onclick: () => this.sortBy(index) }, column.title,
        column.unit ? [" ", BW.el("span", { class: "unit" }, `(${column.unit})`)] : null);
        this.head.append(BW.el("th", { scope: "col", class: column.number ? "number" : null },
          button));
      });
      const table = BW.el("table", { class: "rows" },
        BW.el("caption", { class: "visually-hidden" }, this.caption),
        BW.el("thead", {}, this.head), this.body);
      this.pager = BW.el("div", { class: "pager" });
      this.place.replaceChildren(
        this.controls(),
        BW.el("div", { class: "scroll", tabindex: "0", role: "region",
          "aria-label": this.caption }, table),
        this.pager);
    }

    controls() {
      if (!this.search) return BW.el("div");
      const parts = [];
      parts.push(BW.el("label", { class: "field grow" },
        BW.el("span", { class: "visually-hidden" }, "Search"),
        BW.el("input", { type: "search", placeholder: "Search name, formula, reason, key\u2026",
          autocomplete: "off", spellcheck: "false",
          oninput: (event) => {
            this.query = event.target.value.trim().toLowerCase();
            this.page = 0;
            this.refresh();
          } })));
      this.selects = this.filters.map((filter) => {
        const select = BW.el("select", {
          onchange: () => {
            this.chosen.set(filter, select.value);
            this.page = 0;
            this.refresh();
          } },
        BW.el("option", { value: "" }, filter.all),
        filter.options.map((o) => BW.el("option", { value: o.value }, o.text)));
        parts.push(BW.el("label", { class: "field" },
          BW.el("span", { class: "visually-hidden" }, filter.title), select));
        return select;
      });
      return BW.el("div", { class: "controls" }, parts, this.status);
    }

    sortBy(index) {
      const same = this.sort && this.sort.column === index;
      this.sort = { column: index, down: same ? !this.sort.down : false };
      this.page = 0;
      this.refresh();
    }

    visible() {
      let rows = this.rows;
      for (const [filter, value] of this.chosen) {
        if (value) rows = rows.filter((row) => filter.keep(row, value));
      }
      if (this.query) {
        const words = this.query.split(/\s+/);
        rows = rows.filter((row) => words.every((w) => BW.haystack(row).includes(w)));
      }
      if (!this.sort) return rows;
      const { value } = this.columns[this.sort.column];
      const sign = this.sort.down ? -1 : 1;
      // What has no value stays at the end, whichever way the rest is sorted.
      return [...rows].sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        const [noX, noY] = [x === undefined || x === null, y === undefined || y === null];
        return noX || noY ? noX - noY : sign * compare(x, y);
      });
    }

    refresh() {
      const rows = this.visible();
      const pages = Math.max(1, Math.ceil(rows.length / this.size));
      this.page = Math.min(this.page, pages - 1);
      const first = this.page * this.size;
      const shown = rows.slice(first, first + this.size);
      [...this.head.children].forEach((th, index) => {
        const active = this.sort && this.sort.column === index;
        if (active) th.setAttribute("aria-sort", this.sort.down ? "descending" : "ascending");
        else th.removeAttribute("aria-sort");
      });
      this.body.replaceChildren(...shown.flatMap((row) => this.rowNodes(row)));
      if (!shown.length) {
        this.body.append(BW.el("tr", {}, BW.el("td",
          { colspan: this.columns.length, class: "nothing" }, "No candidate fits these filters.")));
      }
      this.status.textContent = rows.length === this.rows.length
        ? `${BW.number(rows.length, 0)} ${rows.length === 1 ? "row" : "rows"}`
        : `${BW.number(rows.length, 0)} of ${BW.number(this.rows.length, 0)} rows`;
      this.turner(pages);
    }

    turner(pages) {
      const turn = (step) => () => {
        this.page += step;
        this.refresh();
      };
      this.pager.replaceChildren(...(pages < 2 ? [] : [
        BW.el("button", { type: "button", class: "plain", disabled: this.page === 0,
          onclick: turn(-1) }, "\u2190 Previous"),
        BW.el("span", {}, `Page ${this.page + 1} of ${pages}`),
        BW.el("button", { type: "button", class: "plain", disabled: this.page === pages - 1,
          onclick: turn(1) }, "Next \u2192"),
      ]));
    }

    rowNodes(row) {
      const open = this.open.get(row.key);
      const cells = this.columns.map((column, index) => {
        const content = column.cell(row);
        const inner = index === 0 ? this.opener(row, content, Boolean(open)) : content;
        return BW.el(index === 0 ? "th" : "td",
          { scope: index === 0 ? "row" : null, class: column.number ? "number" : null }, inner);
      });
      const node = BW.el("tr", { class: open ? "opened" : null, "data-key": row.key }, cells);
      return open ? [node, open] : [node];
    }

    opener(row, content, isOpen) {
      return BW.el("button", { type: "button", class: "opener", "aria-expanded": String(isOpen),
        onclick: () => this.toggle(row) },
      BW.el("span", { class: "chevron", "aria-hidden": true }), content);
    }

    toggle(row) {
      const panel = this.open.get(row.key);
      if (panel) {
        BW.closeViewers(panel);
        this.open.delete(row.key);
      } else {
        this.open.set(row.key, BW.el("tr", { class: "panel-row" },
          BW.el("td", { colspan: this.columns.length }, BW.details(row))));
      }
      this.refresh();
      this.button(row.key)?.focus();
    }

    button(key) {
      return this.body.querySelector(`tr[data-key="${CSS.escape(key)}"] .opener`);
    }

    // Bring a candidate into view and open it; false when this table does not hold it.
    show(key) {
      const row = this.rows.find((r) => r.key === key);
      if (!row) return false;
      if (!this.visible().includes(row)) {
        this.query = "";
        this.chosen.clear();
        this.place.querySelectorAll("input, select").forEach((field) => { field.value = ""; });
      }
      this.page = Math.floor(this.visible().indexOf(row) / this.size);
      if (this.open.has(key)) this.refresh();
      else this.toggle(row);
      const button = this.button(key);
      button.closest("tr").scrollIntoView({
        block: "start", behavior: BW.calm.matches ? "auto" : "smooth" });
      button.focus({ preventScroll: true });
      return true;
    }
  };

  const haystacks = new WeakMap();
  BW.haystack = (row) => {
    if (!haystacks.has(row)) {
      const plain = (row.formula || "").normalize("NFKD");
      haystacks.set(row, [row.key, row.name, row.formula, plain, row.outcome, BW.why(row),
        row.reason, row.message, row.origin].join(" ").toLowerCase());
    }
    return haystacks.get(row);
  };
})();
