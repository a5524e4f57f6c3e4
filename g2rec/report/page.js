"use strict";
// The map of items and the prefix tree, from the JSON embedded in the page.
(() => {
  const data = JSON.parse(document.getElementById("items").textContent);
  const size = data.titles.length;
  const night = matchMedia("(prefers-color-scheme: dark)");
  const make = (tag, name, text) => {
    const node = document.createElement(tag);
    if (name) node.className = name;
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const count = (number) => number.toLocaleString("en");

  // Map ---------------------------------------------------------------------------------------------
  const plane = document.getElementById("plane");
  const chips = document.getElementById("chips");
  const find = document.getElementById("find");
  const found = document.getElementById("found");
  const hits = document.getElementById("hits");
  const picked = document.getElementById("picked");
  const margin = 0.03 * data.grid;
  const whole = [-margin, data.grid + margin];
  const HITS = 8; // titles listed under the search
  const MOST = 12; // times that the map can be enlarged

  // A word for each of the largest prototypes, none twice; a title where it has no word.
  const said = new Set();
  const labels = data.largest.slice(0, 24).map((owner) => {
    const text = [...data.labels[owner], data.names[owner].split(" · ")[0]].find((word) => !said.has(word)) || "";
    said.add(text);
    return { owner, text: text.length > 20 ? `${text.slice(0, 19)}…` : text, x: data.centres[owner][0], y: data.centres[owner][1] };
  });
  const items = data.titles.map((title, item) => ({
    item, x: data.x[item], y: data.y[item], owner: data.owner[item], lower: title.toLowerCase(),
  }));

  function describe(item) {
    const owner = data.owner[item];
    const facts = [`${data.share[item]}% ${data.names[owner]} (prototype ${owner})`];
    if (data.category && data.category[item] >= 0) facts.push(`category ${data.categories[data.category[item]]}`);
    return [data.titles[item], ...facts, `${count(data.events[item])} events, ID ${code(item)}`];
  }

  function look() {
    const style = getComputedStyle(document.body);
    return { ink: style.color, paper: style.backgroundColor, colours: night.matches ? data.dark : data.light };
  }

  // In Vega itself, since Vega-Lite has neither labels that keep out of each other's way nor limits to a drag.
  function atlas() {
    const { ink, paper, colours } = look();
    const place = { x: { scale: "x", field: "x" }, y: { scale: "y", field: "y" } };
    const dots = (name, opacity) => ({
      type: "symbol", from: { data: name }, clip: true, interactive: name === "lit", aria: false,
      encode: {
        enter: { fill: { scale: "colour", field: "owner" }, tooltip: { signal: "datum" }, stroke: { value: "#000" }, strokeOpacity: { value: 0 }, strokeWidth: { value: 7 } },
        update: { ...place, fill: { scale: "colour", field: "owner" }, size: { signal: "size" }, fillOpacity: { value: opacity } },
      },
    });
    const dragged = (axis, at, span, sign) => ({
      name: `${axis}range`, value: whole,
      on: [{ events: { signal: "delta" }, update: `clampRange([from.${axis}[0] ${sign} span(from.${axis}) * delta[${at}] / ${span}, from.${axis}[1] ${sign} span(from.${axis}) * delta[${at}] / ${span}], ${whole})` }],
    });
    const words = { align: { value: "center" }, baseline: { value: "middle" }, font: { signal: "font" }, fontWeight: { value: 600 }, fontSize: { signal: "width < 600 ? 10.5 : 12" } };
    const written = { x: { field: "x" }, y: { field: "y" }, text: { field: "text" }, opacity: { field: "opacity" } };
    return {
      description: "Items in two dimensions, coloured by prototype",
      autosize: "none", padding: 0,
      signals: [
        { name: "width", init: "containerSize()[0]", on: [{ events: "window:resize", update: "containerSize()[0]" }] },
        { name: "height", init: "containerSize()[1]", on: [{ events: "window:resize", update: "containerSize()[1]" }] },
        { name: "ink", value: ink }, { name: "paper", value: paper }, { name: "colours", value: colours },
        { name: "font", value: getComputedStyle(document.body).fontFamily },
        { name: "shown", value: -1 }, // the prototype picked out, or -1 for all
        { name: "wanted", value: "" }, // what titles must contain
        { name: "picked", value: -1 }, // the item picked out
        { name: "from", value: null, on: [{ events: "pointerdown", update: "{x: xrange, y: yrange, at: xy()}" }] },
        { name: "delta", value: [0, 0], on: [{ events: "[pointerdown, window:pointerup] > window:pointermove", update: "from ? [from.at[0] - x(), from.at[1] - y()] : [0, 0]" }] },
        dragged("x", 0, "width", "+"), dragged("y", 1, "height", "+"),
        { name: "zoom", update: `${whole[1] - whole[0]} / span(xrange)` },
        { name: "size", update: `min(80, ${size > 4000 ? 14 : 34} * width / 1000 * pow(zoom, 0.8) + 2)` },
      ],
      data: [
        { name: "items", values: items },
        { name: "lit", source: "items", transform: [{ type: "filter", expr: "(shown < 0 || datum.owner === shown) && (wanted === '' || indexof(datum.lower, wanted) >= 0)" }] },
        { name: "dim", source: "items", transform: [{ type: "filter", expr: "(shown >= 0 && datum.owner !== shown) || (wanted !== '' && indexof(datum.lower, wanted) < 0)" }] },
        { name: "ring", source: "items", transform: [{ type: "filter", expr: "datum.item === picked" }] },
        { name: "names", values: labels, transform: [{ type: "filter", expr: "(shown < 0 || datum.owner === shown) && inrange(datum.x, xrange) && inrange(datum.y, yrange)" }] },
      ],
      scales: [
        { name: "x", type: "linear", domain: { signal: "xrange" }, range: "width", zero: false },
        { name: "y", type: "linear", domain: { signal: "yrange" }, range: { signal: "[0, height]" }, zero: false },
        { name: "colour", type: "ordinal", domain: data.light.map((_, owner) => owner), range: { signal: "colours" } },
      ],
      marks: [
        dots("dim", 0.14), dots("lit", 0.85),
        { type: "symbol", from: { data: "ring" }, clip: true, interactive: false, encode: { update: { ...place, size: { value: 180 }, fill: { value: null }, stroke: { signal: "ink" }, strokeWidth: { value: 2.5 } } } },
        { name: "middle", type: "symbol", from: { data: "names" }, interactive: false, aria: false, encode: { update: { ...place, opacity: { value: 0 } } } },
        {
          name: "halo", type: "text", from: { data: "middle" }, interactive: false, aria: false,
          encode: { enter: words, update: { text: { field: "datum.text" }, stroke: { signal: "paper" }, strokeWidth: { value: 4 }, strokeJoin: { value: "round" }, fill: { signal: "paper" } } },
          transform: [{ type: "label", size: { signal: "[width, height]" }, anchor: ["middle"], offset: [0], avoidBaseMark: false }],
        },
        { type: "text", from: { data: "halo" }, interactive: false, aria: false, encode: { enter: words, update: { ...written, fill: { signal: "ink" } } } },
      ],
    };
  }

  let view = null;
  const set = (signals) => {
    for (const [name, value] of Object.entries(signals)) view.signal(name, value);
    plane.classList.toggle("zoomed", zoomed() > 1.001);
    return view.runAsync();
  };
  const zoomed = () => {
    const [low, high] = view.signal("xrange");
    return (whole[1] - whole[0]) / (high - low);
  };

  // A window of the map around a point, kept inside the whole.
  function aim(x, y, zoom) {
    const span = (whole[1] - whole[0]) / Math.min(MOST, Math.max(1, zoom));
    const around = (at) => {
      const low = Math.min(Math.max(at - span / 2, whole[0]), whole[1] - span);
      return [low, low + span];
    };
    return set({ xrange: around(x), yrange: around(y) });
  }
  const middle = () => ["xrange", "yrange"].map((name) => (view.signal(name)[0] + view.signal(name)[1]) / 2);
  const enlarge = (factor) => {
    const item = view.signal("picked");
    return aim(...(item < 0 ? middle() : [data.x[item], data.y[item]]), zoomed() * factor);
  };

  function move(right, down) {
    const [x, y] = middle();
    const step = (0.2 * (whole[1] - whole[0])) / zoomed();
    return aim(x + right * step, y + down * step, zoomed());
  }

  function pick(item) {
    const [title, ...facts] = describe(item);
    picked.replaceChildren(make("b", "", title), ` ${facts.join("; ")}`);
    set({ picked: item });
    if (zoomed() > 1) aim(data.x[item], data.y[item], zoomed());
  }

  async function show(prototype) {
    for (const chip of chips.children) chip.setAttribute("aria-pressed", String(+chip.dataset.show === prototype));
    await set({ shown: prototype });
  }

  async function search() {
    const wanted = find.value.trim().toLowerCase();
    await set({ wanted });
    const matching = wanted ? view.data("lit").map((row) => row.item) : [];
    found.textContent = wanted ? `${count(matching.length)} ${matching.length === 1 ? "item" : "items"}` : "";
    hits.replaceChildren(...matching.slice(0, HITS).map((item) => {
      const hit = make("button", "chip", data.titles[item]);
      hit.type = "button";
      hit.addEventListener("click", () => pick(item));
      return hit;
    }));
  }

  function formatted(row, escaped) {
    const [title, ...facts] = describe(row.item).map(escaped);
    return `<b>${title}</b>${facts.map((fact) => `<span>${fact}</span>`).join("")}`;
  }

  async function drawMap() {
    const tooltip = { ...charts.options.tooltip, id: "map-tip", formatTooltip: formatted };
    view = (await vegaEmbed(plane, atlas(), { ...charts.options, renderer: "canvas", tooltip, config: { background: null } })).view;
    view.addEventListener("click", (_, mark) => { if (mark && mark.datum && mark.datum.item !== undefined) pick(mark.datum.item); });
    view.addSignalListener("xrange", () => plane.classList.toggle("zoomed", zoomed() > 1.001));
    night.addEventListener("change", () => set(look()));
  }

  const held = new Set(data.owner);
  for (const prototype of data.largest) {
    if (!held.has(prototype)) continue;
    const chip = make("button", "chip", data.names[prototype]);
    const dot = make("i", "dot");
    dot.style.setProperty("--dot", `var(--p${prototype})`);
    chip.prepend(dot);
    chip.type = "button";
    chip.dataset.show = prototype;
    chip.setAttribute("aria-pressed", "false");
    chips.append(chip);
  }
  document.addEventListener("click", (event) => {
    const pressed = event.target.closest("[data-show]");
    if (!pressed) return;
    const prototype = +pressed.dataset.show;
    show(pressed.classList.contains("chip") && prototype === view.signal("shown") ? -1 : prototype);
  });
  plane.addEventListener("dblclick", () => enlarge(2));
  plane.addEventListener("keydown", (event) => {
    const action = {
      "+": () => enlarge(1.6), "=": () => enlarge(1.6), "-": () => enlarge(1 / 1.6),
      ArrowLeft: () => move(-1, 0), ArrowRight: () => move(1, 0), ArrowUp: () => move(0, -1), ArrowDown: () => move(0, 1),
    }[event.key];
    if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  });
  document.getElementById("nearer").addEventListener("click", () => enlarge(1.6));
  document.getElementById("farther").addEventListener("click", () => enlarge(1 / 1.6));
  document.getElementById("whole").addEventListener("click", async () => {
    find.value = "";
    picked.textContent = "";
    await set({ xrange: whole, yrange: whole, picked: -1 });
    await show(-1);
    await search();
  });
  find.addEventListener("input", search);

  // Tree --------------------------------------------------------------------------------------------
  const LEAF = 50; // items listed at once
  const FEW = 5; // so many items need no further level
  const OPEN = 24; // first codes listed at once
  function code(item) {
    return data.codes.slice(item * data.levels, (item + 1) * data.levels).join("-");
  }

  function branches(items, depth) {
    const groups = new Map();
    for (const item of items) {
      const at = data.codes[item * data.levels + depth];
      if (groups.has(at)) groups.get(at).push(item);
      else groups.set(at, [item]);
    }
    return [...groups].sort((a, b) => b[1].length - a[1].length || a[0] - b[0]);
  }

  // The most frequent category of a group, or its most frequent prototype where there are no categories.
  function gist(items) {
    const values = data.category || data.owner;
    const names = data.categories || data.names;
    const tally = new Map();
    for (const item of items) if (values[item] >= 0) tally.set(values[item], (tally.get(values[item]) || 0) + 1);
    let [best, most] = [-1, 0];
    for (const [value, number] of tally) if (number > most) [best, most] = [value, number];
    return best < 0 ? "" : `${Math.round((100 * most) / items.length)}% ${names[best]}`;
  }

  function listed(parent, entries, limit, build) {
    const rest = make("button", "more");
    let done = 0;
    const more = () => {
      const fresh = entries.slice(done, done + limit).map(build);
      done += fresh.length;
      rest.before(...fresh);
      if (done < entries.length) rest.textContent = `${count(entries.length - done)} more`;
      else rest.remove();
      return fresh[0];
    };
    rest.type = "button";
    rest.addEventListener("click", () => {
      const first = more();
      (first.querySelector("summary") || first).focus();
    });
    parent.append(rest);
    more();
  }

  function leaf(item) {
    const row = make("div", "leaf");
    row.tabIndex = -1;
    row.append(make("code", "", code(item)), make("span", "", data.titles[item]));
    return row;
  }

  function branch(prefix, items, depth) {
    const node = make("details");
    const head = make("summary");
    const words = depth === 1 ? data.words[prefix[0]] : "";
    const sample = items.slice(0, 2).map((item) => data.titles[item]).join("; ");
    const line = make("span", "about");
    if (words) line.append(make("b", "", words), " ");
    line.append(make("span", "soft", [gist(items), sample].filter(Boolean).join(": ")));
    head.append(make("code", "", prefix.join("-")), make("span", "number", count(items.length)), line);
    node.append(head);
    node.addEventListener("toggle", () => {
      if (node.childElementCount > 1) return; // filled when first opened
      const inside = make("div", "inside");
      node.append(inside);
      if (depth >= data.levels - 1 || items.length <= FEW) {
        const order = [...items].sort((a, b) => data.codes[a * data.levels + data.levels - 1] - data.codes[b * data.levels + data.levels - 1]);
        listed(inside, order, LEAF, leaf);
      } else {
        listed(inside, branches(items, depth), OPEN, ([next, few]) => branch([...prefix, next], few, depth + 1));
      }
    });
    return node;
  }

  const everything = Array.from({ length: size }, (_, item) => item);
  listed(document.getElementById("tree"), branches(everything, 0), OPEN, ([first, items]) => branch([first], items, 1));
  drawMap().then(charts.drawAll);
})();
