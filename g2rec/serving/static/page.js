"use strict";
// Search, history, interests, recommendations. All that is asked of the server is in `ask`.
(() => {
  const SHOWN = 10; // recommendations
  const MOST = 50; // items of a history
  const $ = (id) => document.getElementById(id);
  const state = { history: [], off: new Set() }; // item ids as text, oldest first; numbers of interests
  const items = new Map(); // id -> {title, codes}
  let interests = []; // all that the bundle has: {index, name, mass, items}
  let wasLit = false; // whether an interest was shown
  let ranks = new Map(); // id -> place in the list that is shown

  const make = (tag, name, text) => {
    const node = document.createElement(tag);
    if (name) node.className = name;
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const button = (name, text, act) => {
    const node = make("button", name, text);
    node.type = "button";
    node.addEventListener("click", act);
    return node;
  };
  const percent = (share) => `${Math.round(100 * share)}%`;
  const hue = (number) => String((number * 137.508 + 20) % 360); // neighbours far apart on the circle
  const hued = (node, number) => { node.style.setProperty("--hue", hue(number)); return node; };
  const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

  // The server -------------------------------------------------------------------------------------
  async function ask(path, body, signal) {
    const headers = {};
    const key = sessionStorage.getItem("g2rec-key");
    if (key) headers["X-API-Key"] = key;
    if (body) headers["Content-Type"] = "application/json";
    const asked = { method: body ? "POST" : "GET", headers, signal };
    if (body) asked.body = JSON.stringify(body);
    let answer;
    try {
      answer = await fetch(path, asked);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Error("The server does not answer; is it still running?");
    }
    if (answer.status === 401) $("unlock").hidden = false;
    const value = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(value.error || `The server answered ${answer.status}.`);
    return value;
  }
  const said = (error) => {
    if (error && error.name === "AbortError") return;
    $("problem").textContent = error ? error.message : "";
    $("problem").hidden = !error;
  };

  // Search: a combobox ------------------------------------------------------------------------------
  const box = $("search"), list = $("found");
  let options = [], chosen = -1, searching = null, pause = 0;

  function close() {
    list.hidden = true;
    chosen = -1;
    box.setAttribute("aria-expanded", "false");
    box.removeAttribute("aria-activedescendant");
  }
  function choose(at) {
    chosen = at;
    [...list.children].forEach((node, place) => node.setAttribute("aria-selected", String(place === at)));
    if (at < 0) return box.removeAttribute("aria-activedescendant");
    box.setAttribute("aria-activedescendant", list.children[at].id);
    list.children[at].scrollIntoView({ block: "nearest" });
  }
  function open(found) {
    options = found;
    list.replaceChildren(...found.map((item, at) => {
      const node = make("li");
      node.id = `found-${at}`;
      node.setAttribute("role", "option");
      node.append(make("span", "", item.title), make("small", "", count(item.events, "event")));
      node.addEventListener("mousedown", (event) => event.preventDefault()); // the focus stays in the box
      node.addEventListener("click", () => take(at));
      return node;
    }));
    if (!found.length) {
      const none = make("li", "none", "No title has these words");
      none.setAttribute("role", "option");
      none.setAttribute("aria-disabled", "true");
      list.append(none);
    }
    list.hidden = false;
    box.setAttribute("aria-expanded", "true");
    choose(found.length ? 0 : -1);
  }
  function take(at) {
    const item = options[at];
    box.value = "";
    close();
    add([item]);
  }
  async function search() {
    if (searching) searching.abort();
    searching = new AbortController();
    const text = box.value.trim().slice(0, 200);
    if (!text) return close();
    try {
      const answer = await ask(`items?k=12&q=${encodeURIComponent(text)}`, null, searching.signal);
      const held = new Set(state.history);
      if (box.value.trim().slice(0, 200) === text) open(answer.items.filter((item) => !held.has(String(item.item_id))));
      said();
    } catch (error) { said(error); }
  }
  box.addEventListener("input", () => { clearTimeout(pause); pause = setTimeout(search, 120); });
  box.addEventListener("blur", close);
  box.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" && list.hidden) search();
    else if (list.hidden) return;
    else if (event.key === "ArrowDown") choose(Math.min(chosen + 1, options.length - 1));
    else if (event.key === "ArrowUp") choose(Math.max(chosen - 1, 0));
    else if (event.key === "Enter" && chosen >= 0) take(chosen);
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
  });

  // What the visitor does -----------------------------------------------------------------------------
  function add(more) {
    for (const item of more) {
      const id = String(item.item_id);
      if (state.history.includes(id)) continue;
      if (state.history.length >= MOST) { said(new Error(`The page shows up to ${MOST} items; remove one first.`)); break; }
      items.set(id, { title: item.title, codes: item.semantic_id || (items.get(id) || {}).codes });
      state.history.push(id);
    }
    changed();
  }
  function remove(id, at) {
    state.history = state.history.filter((other) => other !== id);
    changed();
    const next = document.querySelectorAll("#history button")[Math.min(at, state.history.length - 1)];
    (next || box).focus();
  }
  function toggle(index) {
    if (!state.off.delete(index)) state.off.add(index);
    changed();
  }
  $("clear").addEventListener("click", () => {
    state.history = [];
    state.off.clear();
    changed();
    box.focus();
  });
  $("unlock").addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem("g2rec-key", $("key").value);
    $("unlock").hidden = true;
    begin();
  });

  // The address keeps the state -------------------------------------------------------------------------
  function write() {
    const parts = [];
    if (state.history.length) parts.push(`items=${state.history.map(encodeURIComponent).join(",")}`);
    if (state.off.size) parts.push(`off=${[...state.off].join(",")}`);
    const hash = parts.length ? `#${parts.join("&")}` : "";
    if (hash !== location.hash) history.pushState(null, "", hash || location.pathname + location.search);
  }
  function read() {
    const parts = new Map(location.hash.slice(1).split("&").map((part) => part.split("=")));
    const values = (name) => (parts.get(name) || "").split(",").filter(Boolean);
    const plain = (text) => { try { return decodeURIComponent(text); } catch { return text; } };
    state.history = [...new Set(values("items").map(plain))].slice(-MOST);
    state.off = new Set(values("off").map(Number).filter((index) => interests.some((known) => known.index === index)));
  }

  // Showing it --------------------------------------------------------------------------------------------
  const codes = (numbers) => {
    const node = make("span", "codes");
    node.setAttribute("role", "img");
    node.setAttribute("aria-label", `semantic ID ${numbers.join(" ")}`);
    numbers.forEach((number, level) => node.append(hued(make("span", "code", number), number + 7 * level)));
    return node;
  };
  function keepFocus(draw) {
    const id = document.activeElement && document.activeElement.id;
    draw();
    const again = id && $(id);
    if (again && again !== document.activeElement) again.focus();
  }
  function showHistory() {
    keepFocus(() => $("history").replaceChildren(...state.history.map((id, at) => {
      const known = items.get(id) || { title: id };
      const row = make("li");
      const gone = button("icon", "✕", () => remove(id, at));
      gone.setAttribute("aria-label", `Remove ${known.title}`);
      gone.id = `remove-${at}`;
      row.append(make("span", "name", known.title));
      if (known.codes) row.append(codes(known.codes));
      row.append(gone);
      return row;
    })));
    $("clear").hidden = !state.history.length;
    $("start").hidden = state.history.length > 0;
  }
  function showInterests(active) {
    const rows = active.map((interest) => ({ ...interest, on: true }));
    for (const index of state.off) rows.push({ ...interests.find((known) => known.index === index), weight: 0, on: false, past: [] });
    const lit = new Set(rows.map((row) => row.index));
    keepFocus(() => $("interests").replaceChildren(...rows.map((row) => {
      const node = hued(make("li"), row.index);
      const flip = button("switch", undefined, () => toggle(row.index));
      flip.id = `interest-${row.index}`;
      flip.setAttribute("aria-pressed", String(row.on));
      const line = make("span", "row");
      line.append(
        make("span", "name", row.name),
        make("span", "", row.on ? percent(row.weight) : "off"),
        make("span", "does", row.on ? "switch off" : "switch on"),
      );
      const meter = make("span", "meter"), fill = make("i");
      fill.style.setProperty("--share", percent(row.weight));
      meter.append(fill);
      flip.append(line, meter);
      node.append(flip);
      if (row.past.length) {
        const from = row.past.slice(0, 3).map((past) => `${past.title} (${percent(past.share)})`);
        const more = row.past.length > 3 ? ` and ${row.past.length - 3} more` : "";
        node.append(make("p", "from", `from ${from.join(", ")}${more}`));
      }
      return node;
    })));
    const dim = interests.filter((known) => !lit.has(known.index)).sort((a, b) => b.mass - a.mass);
    $("others").hidden = !dim.length;
    $("others").firstElementChild.textContent = rows.length
      ? `${count(dim.length, "other interest")} not lit`
      : `${count(dim.length, "interest")}, none lit`;
    if (!rows.length) $("others").open = true;
    else if (!wasLit) $("others").open = false;
    wasLit = rows.length > 0;
    $("quiet").replaceChildren(...dim.slice(0, 60).map((known) => {
      const chip = make("li", "", known.name);
      chip.title = known.items.map((item) => item.title).join(", ");
      return chip;
    }));
    $("interests-hint").textContent = rows.length
      ? "Switch one off, and the list goes without it."
      : "They light up as the history grows.";
  }
  function showRecommendations(found, active) {
    const named = new Map(active.map((interest) => [interest.index, interest]));
    const places = new Map(found.map((item, at) => [String(item.item_id), at]));
    let fresh = 0;
    keepFocus(() => $("recommended").replaceChildren(...found.map((item, at) => {
      const id = String(item.item_id), before = ranks.get(id);
      const row = make("li"), head = make("div", "head"), why = make("div", "why");
      head.append(make("span", "name", item.title), codes(item.semantic_id));
      if (ranks.size && before === undefined) { fresh += 1; head.append(make("span", "moved", "new")); }
      else if (ranks.size && before !== at) head.append(make("span", "moved", before > at ? `▲ ${before - at}` : `▼ ${at - before}`));
      const more = button("icon", "+", () => { add([item]); });
      more.setAttribute("aria-label", `Add ${item.title} to the history`);
      more.id = `add-${at}`;
      const because = new Set();
      for (const index of item.shared.slice(0, 3)) {
        const interest = named.get(index);
        if (!interest) continue;
        why.append(hued(make("span", "interest hued", interest.name), index));
        interest.past.slice(0, 2).forEach((past) => because.add(past.title));
      }
      if (because.size) why.append(make("span", "", `because of ${[...because].slice(0, 3).join(", ")}`));
      else why.append(make("span", "", "shares none of the interests shown: the sequence or the content speaks for it"));
      row.append(make("span", "rank", at + 1), head, more, why);
      return row;
    })));
    const moved = ranks.size ? `, ${fresh ? `${fresh} of them new` : "none of them new"}` : "";
    $("status").textContent = found.length
      ? `${count(found.length, "recommendation")}${moved}. Strongest interest: ${active.length ? active[0].name : "none"}.`
      : "Nothing is left to recommend.";
    ranks = places;
  }

  let asking = null;
  async function changed(addressed = true) {
    if (addressed) write();
    showHistory();
    if (asking) asking.abort();
    $("legend").hidden = !state.history.length;
    if (!state.history.length) {
      ranks = new Map();
      showInterests([]);
      $("recommended").replaceChildren();
      $("status").textContent = "Add an item to see ten recommendations.";
      return;
    }
    asking = new AbortController();
    const signal = asking.signal;
    $("recommended").classList.add("busy");
    try {
      const body = { history: state.history, k: SHOWN, without: [...state.off] };
      const unknown = state.history.filter((id) => !(items.get(id) || {}).codes);
      const [answer] = await Promise.all([ask("explain", body, signal), ...unknown.map((id) => learn(id, signal))]);
      if (signal.aborted) return;
      showHistory();
      showInterests(answer.interests);
      showRecommendations(answer.items, answer.interests);
      said();
    } catch (error) {
      said(error);
    } finally {
      if (!signal.aborted) $("recommended").classList.remove("busy");
    }
  }
  async function learn(id, signal) {
    const item = await ask(`items/${encodeURIComponent(id)}`, null, signal);
    items.set(id, { title: item.title, codes: item.semantic_id });
  }

  async function begin() {
    try {
      const [health, known] = await Promise.all([ask("health"), ask("interests")]);
      $("about").textContent =
        `${count(health.items, "item")}, ${count(health.interests, "interest")}, learned from ${count(health.users, "user")}.`;
      interests = known.interests;
      const largest = [...interests].sort((a, b) => b.mass - a.mass).slice(0, 8);
      $("starters").replaceChildren(...largest.map((interest) => {
        const chip = hued(button("hued", interest.name, () => { add(interest.items.slice(0, 3)); box.focus(); }), interest.index);
        chip.title = interest.items.slice(0, 3).map((item) => item.title).join(", ");
        return chip;
      }));
      said();
      read();
      await changed(false);
    } catch (error) { said(error); }
  }
  addEventListener("popstate", () => { read(); changed(false); });
  begin();
})();
