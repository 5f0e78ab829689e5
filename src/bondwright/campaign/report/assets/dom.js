"use strict";
// Building elements. Text only ever becomes text nodes: nothing on this page parses HTML.
const BW = {};

(() => {
  const SVG = "http://www.w3.org/2000/svg";

  function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (name.startsWith("aria-")) node.setAttribute(name, String(value));
      else node.setAttribute(name, value === true ? "" : String(value));
    }
    for (const child of children.flat(Infinity)) {
      if (child === null || child === undefined || child === false) continue;
      node.append(child instanceof Node ? child : document.createTextNode(String(child)));
    }
    return node;
  }

  BW.el = (tag, attributes = {}, ...children) =>
    fill(document.createElement(tag), attributes, children);

  BW.svg = (tag, attributes = {}, ...children) =>
    fill(document.createElementNS(SVG, tag), attributes, children);

  BW.data = JSON.parse(document.getElementById("campaign-data").textContent);

  BW.byKey = new Map(BW.data.rows.map((row) => [row.key, row]));

  BW.calm = matchMedia("(prefers-reduced-motion: reduce)");

  // The colours of the figures follow the theme by way of the style sheet's variables.
  BW.color = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
})();
