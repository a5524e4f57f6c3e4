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
  const plane = document.querySelector(".plane");
  const canvas = plane.querySelector("canvas");
  const ring = plane.querySelector(".ring");
  const tip = plane.querySelector(".tip");
  const chips = document.getElementById("chips");
  const find = document.getElementById("find");
  const found = document.getElementById("found");
  const view = { x: 0, y: 0, zoom: 1 };
  let shown = -1; // the prototype picked out, or -1 for all
  let matches = null; // items whose title matches the search, or null

  const across = (value) => ((value / data.grid - view.x) * view.zoom * 0.96 + 0.02) * plane.clientWidth;
  const down = (value) => ((value / data.grid - view.y) * view.zoom * 0.96 + 0.02) * plane.clientHeight;
  const left = new Float32Array(size), top = new Float32Array(size); // where each item was drawn, pixels
  const lit = (item) => (shown < 0 || data.owner[item] === shown) && (!matches || matches.has(item));

  function draw() {
    const scale = devicePixelRatio || 1;
    const width = plane.clientWidth, height = plane.clientHeight;
    canvas.width = width * scale;
    canvas.height = height * scale;
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    const colours = night.matches ? data.dark : data.light;
    const style = getComputedStyle(document.body);
    const radius = Math.min(4.5, Math.max(1.5, (size > 4000 ? 1.9 : 3) * Math.sqrt(width / 1000) * view.zoom ** 0.4));
    const kx = (view.zoom * 0.96 * width) / data.grid, ky = (view.zoom * 0.96 * height) / data.grid;
    const zeroX = across(0), zeroY = down(0);
    for (let item = 0; item < size; item++) {
      left[item] = zeroX + kx * data.x[item];
      top[item] = zeroY + ky * data.y[item];
    }
    const all = shown < 0 && !matches;
    for (const pass of all ? [true] : [false, true]) { // the others first, so that they lie beneath
      pen.globalAlpha = all ? 0.8 : pass ? 0.95 : 0.14;
      for (let item = size - 1; item >= 0; item--) {
        if (!all && lit(item) !== pass) continue;
        pen.fillStyle = colours[data.owner[item]];
        pen.beginPath();
        pen.arc(left[item], top[item], !all && pass ? radius + 0.6 : radius, 0, 7);
        pen.fill();
      }
    }
    pen.globalAlpha = 1;
    label(pen, width, height, style);
  }

  // Names of the largest prototypes at their middles, as many as fit.
  function label(pen, width, height, style) {
    pen.font = `600 ${width < 600 ? 10.5 : 12}px ${style.fontFamily}`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.lineJoin = "round";
    pen.lineWidth = 3.5;
    pen.strokeStyle = style.backgroundColor;
    pen.fillStyle = style.color;
    const taken = [], said = new Set();
    for (const prototype of shown < 0 ? data.largest.slice(0, 24) : [shown]) {
      const [cx, cy] = data.centres[prototype];
      const text = data.labels[prototype].find((word) => !said.has(word));
      if (!text) continue;
      const half = pen.measureText(text).width / 2 + 3;
      let x = across(cx);
      const y = down(cy);
      if (x < 0 || x > width || y < 8 || y > height - 8) continue;
      x = Math.min(Math.max(x, half), width - half);
      if (taken.some(([a, b, c]) => Math.abs(a - x) < half + c && Math.abs(b - y) < 16)) continue;
      taken.push([x, y, half]);
      said.add(text);
      pen.strokeText(text, x, y);
      pen.fillText(text, x, y);
    }
  }

  function near(px, py) {
    let best = -1, least = 14 * 14;
    for (let item = 0; item < size; item++) {
      if (!lit(item)) continue;
      const away = (left[item] - px) ** 2 + (top[item] - py) ** 2;
      if (away < least) [best, least] = [item, away];
    }
    return best;
  }

  function point(event) {
    const box = canvas.getBoundingClientRect();
    const item = near(event.clientX - box.left, event.clientY - box.top);
    ring.hidden = tip.hidden = item < 0;
    if (item < 0) return;
    const x = left[item], y = top[item];
    ring.style.transform = `translate(${x}px, ${y}px)`;
    const owner = data.owner[item];
    const lines = [`${data.share[item]}% ${data.names[owner]} (prototype ${owner})`];
    if (data.category && data.category[item] >= 0) lines.push(`category ${data.categories[data.category[item]]}`);
    lines.push(`${count(data.events[item])} events, ID ${code(item)}`);
    tip.replaceChildren(make("b", "", data.titles[item]), ...lines.map((line) => make("span", "", line)));
    const room = plane.clientWidth - tip.offsetWidth;
    tip.style.left = `${Math.max(0, Math.min(room, x - tip.offsetWidth / 2))}px`;
    tip.style.top = y > tip.offsetHeight + 14 ? `${y - tip.offsetHeight - 10}px` : `${y + 12}px`;
  }

  function show(prototype) {
    shown = prototype;
    for (const chip of chips.children) chip.setAttribute("aria-pressed", String(+chip.dataset.show === shown));
    ring.hidden = tip.hidden = true;
    draw();
  }

  function zoom(factor, px = 0.5, py = 0.5) {
    const next = Math.min(12, Math.max(1, view.zoom * factor));
    view.x += px / view.zoom - px / next;
    view.y += py / view.zoom - py / next;
    view.zoom = next;
    settle();
  }

  let asked = 0; // at most one drawing a frame
  function settle() {
    const most = 1 - 1 / view.zoom;
    view.x = Math.min(Math.max(view.x, 0), most);
    view.y = Math.min(Math.max(view.y, 0), most);
    plane.classList.toggle("zoomed", view.zoom > 1);
    ring.hidden = tip.hidden = true;
    asked = asked || requestAnimationFrame(() => { asked = 0; draw(); });
  }

  const held = new Set(data.owner);
  for (const prototype of data.largest) {
    if (!held.has(prototype)) continue;
    const chip = make("button", "chip", data.names[prototype]);
    const dot = make("i", "dot");
    dot.style.setProperty("--light", data.light[prototype]);
    dot.style.setProperty("--dark", data.dark[prototype]);
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
    show(pressed.classList.contains("chip") && prototype === shown ? -1 : prototype);
  });
  let grip = null;
  canvas.addEventListener("pointerdown", (event) => {
    point(event);
    if (view.zoom > 1) {
      grip = { x: event.clientX, y: event.clientY, from: { ...view } };
      canvas.setPointerCapture(event.pointerId);
    }
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!grip) return point(event);
    view.x = grip.from.x - (event.clientX - grip.x) / plane.clientWidth / 0.96 / view.zoom;
    view.y = grip.from.y - (event.clientY - grip.y) / plane.clientHeight / 0.96 / view.zoom;
    settle();
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { grip = null; });
  plane.addEventListener("pointerleave", () => { ring.hidden = tip.hidden = true; });
  canvas.addEventListener("dblclick", (event) => {
    const box = canvas.getBoundingClientRect();
    zoom(2, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  });
  document.getElementById("nearer").addEventListener("click", () => zoom(1.6));
  document.getElementById("farther").addEventListener("click", () => zoom(1 / 1.6));
  document.getElementById("whole").addEventListener("click", () => {
    find.value = found.textContent = "";
    matches = null;
    Object.assign(view, { x: 0, y: 0, zoom: 1 });
    show(-1);
  });
  const lower = data.titles.map((title) => title.toLowerCase());
  find.addEventListener("input", () => {
    const wanted = find.value.trim().toLowerCase();
    matches = wanted ? new Set(lower.flatMap((title, item) => (title.includes(wanted) ? [item] : []))) : null;
    found.textContent = matches ? `${count(matches.size)} items` : "";
    ring.hidden = tip.hidden = true;
    draw();
  });
  night.addEventListener("change", draw);
  new ResizeObserver(draw).observe(plane);

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
})();
