"use strict";
// The routes, drawn from the OpenAPI schema, each with a form to try it.
(async () => {
  const make = (tag, name, text) => {
    const node = document.createElement(tag);
    if (name) node.className = name;
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const schema = await (await fetch("openapi.json")).json();
  document.getElementById("version").textContent = schema.info.version;
  const follow = (part) => (part && part.$ref ? schema.components.schemas[part.$ref.split("/").pop()] : part) || {};
  const kind = (part) => {
    if (part.anyOf) return part.anyOf.map(kind).join(" or ");
    if (part.type === "array") return `list of ${kind(follow(part.items))}`;
    const { minimum, maximum } = part;
    const range = maximum !== undefined ? ` from ${minimum} to ${maximum}` : minimum !== undefined ? ` from ${minimum} on` : "";
    return (part.type || "anything") + range;
  };

  function fields(parts) {
    const table = make("table");
    for (const [name, part, needed] of parts) {
      const row = make("tr");
      const without = needed ? "required" : part.default !== undefined && part.default !== null ? `else ${JSON.stringify(part.default)}` : "";
      const cell = make("td");
      cell.append(make("code", "", name));
      row.append(cell, make("td", "soft", kind(part)), make("td", "soft", without), make("td", "", part.description || ""));
      table.append(row);
    }
    return table;
  }

  function attempt(method, path, example, parameters) {
    const form = make("form", "try"), send = make("button", "", "Send"), out = make("pre");
    const inputs = parameters.map((parameter) => {
      const label = make("label", "", parameter.name), input = make("input");
      input.value = parameter.schema.default ?? "";
      label.append(input);
      form.append(label);
      return [parameter, input];
    });
    const box = make("textarea");
    box.value = JSON.stringify(example);
    box.rows = 3;
    box.setAttribute("aria-label", `Body of ${method} ${path}`);
    if (method === "POST") form.append(box);
    out.hidden = true;
    out.tabIndex = 0;
    out.setAttribute("role", "status");
    form.append(send, out);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      let target = path.slice(1);
      const query = new URLSearchParams();
      for (const [parameter, input] of inputs) {
        if (parameter.in === "path") target = target.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
        else query.set(parameter.name, input.value);
      }
      const headers = {}, key = sessionStorage.getItem("g2rec-key");
      if (key) headers["X-API-Key"] = key;
      if (method === "POST") headers["Content-Type"] = "application/json";
      const asked = { method, headers };
      if (method === "POST") asked.body = box.value;
      const began = performance.now();
      out.hidden = false;
      try {
        const answer = await fetch(target + (query.size ? `?${query}` : ""), asked);
        const text = await answer.text();
        let shown = text;
        try { shown = JSON.stringify(JSON.parse(text), null, 1); } catch { /* not JSON */ }
        out.textContent = `${answer.status} in ${Math.round(performance.now() - began)} ms\n${shown.slice(0, 20000)}`;
      } catch {
        out.textContent = "The server does not answer.";
      }
    });
    return form;
  }

  for (const [path, methods] of Object.entries(schema.paths)) {
    for (const [name, route] of Object.entries(methods)) {
      const method = name.toUpperCase(), section = make("section"), title = make("h2"), code = make("code");
      code.append(make("span", "method", method), ` ${path}`);
      title.append(code);
      section.append(title, make("p", "", route.description || route.summary));
      const parameters = route.parameters || [];
      const body = follow(route.requestBody && route.requestBody.content["application/json"].schema);
      const needed = new Set(body.required || []);
      section.append(fields([
        ...parameters.map((parameter) => [parameter.name, parameter.schema, parameter.required]),
        ...Object.entries(body.properties || {}).map(([field, part]) => [field, part, needed.has(field)]),
      ]));
      section.append(attempt(method, path, (body.examples || [{}])[0], parameters));
      document.getElementById("routes").append(section);
    }
  }
})().catch(() => {
  const problem = document.getElementById("problem");
  problem.textContent = "The schema cannot be read; is the server still running?";
  problem.hidden = false;
});
