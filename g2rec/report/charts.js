"use strict";
// Draws the Vega-Lite charts of the page. Colours are CSS variables, so that dark pages need no second drawing.
(() => {
  const root = document.documentElement;
  const font = getComputedStyle(document.body).fontFamily;
  const ink = "var(--ink)", soft = "var(--soft)", line = "var(--line)";
  const axis = {
    domainColor: "var(--edge)", gridColor: line, tickColor: "var(--edge)", labelColor: soft, titleColor: soft,
    labelFontSize: 11, titleFontSize: 11.5, titleFontWeight: "normal", labelSeparation: 6,
  };
  const config = {
    background: null, font, axis, view: { stroke: null },
    axisY: { domain: false, ticks: false, labelPadding: 5 }, axisX: { grid: false },
    header: { labelColor: ink, labelFontSize: 11.5, labelLimit: 200 },
    legend: {
      orient: "top", labelColor: ink, titleColor: soft, labelFontSize: 11.5, titleFontSize: 11.5, titleFontWeight: "normal",
      titleOrient: "left", columnPadding: 12, labelLimit: 260, offset: 6,
    },
  };
  const options = {
    ast: true, actions: false, defaultStyle: false, renderer: "svg", tooltip: { disableDefaultStyle: true, theme: "page" }, config,
  };

  // Legends in a column where a row is too narrow for them; small charts side by side, as many as fit.
  function fitted(spec, width) {
    if (!spec.facet) {
      const names = (((spec.encoding || {}).color || {}).scale || {}).domain || [];
      const long = names.join("").length * 7 + names.length * 30 > width - 60;
      const legend = long ? { config: { legend: { columns: 1 } } } : {};
      return { ...spec, ...legend, width: "container", autosize: { type: "fit-x", contains: "padding" } };
    }
    const columns = Math.max(2, Math.floor(width / 230)), gap = 20;
    const each = Math.floor((width - 64 - gap * (columns - 1)) / columns);
    const header = { ...spec.facet.header, labelLimit: each };
    return { ...spec, columns, spacing: { row: 16, column: gap }, facet: { ...spec.facet, header }, spec: { ...spec.spec, width: each } };
  }

  const drawn = new Map(); // places to their specification, width and view
  async function draw(place) {
    const known = drawn.get(place) || { spec: JSON.parse(place.textContent) };
    const width = place.clientWidth;
    if (known.width === width) return;
    drawn.set(place, { ...known, width });
    if (known.view) known.view.finalize();
    const { view } = await vegaEmbed(place, fitted(known.spec, width), options);
    drawn.get(place).view = view;
  }

  const rested = () => new Promise((next) => setTimeout(next)); // between two charts, the page answers
  async function drawAll() {
    for (const place of document.querySelectorAll(".chart")) {
      await draw(place);
      await rested();
    }
    root.dataset.drawn = "all";
  }
  let later = 0;
  addEventListener("resize", () => {
    clearTimeout(later);
    later = setTimeout(drawAll, 150);
  });
  window.charts = { options, drawAll };
})();
