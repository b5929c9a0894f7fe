"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const root = document.documentElement;

// Theme: the system's, until the reader says otherwise.
const setTheme = (dark) => { root.dataset.theme = dark ? "dark" : "light"; document.dispatchEvent(new Event("theme")); };
setTheme(window.matchMedia("(prefers-color-scheme: dark)").matches);
byId("theme").addEventListener("click", () => setTheme(root.dataset.theme !== "dark"));

// The table of layers: sort by a column, filter by words and target.
const table = byId("layer-table");
if (table) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const filter = () => {
    const words = byId("layer-search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const target = byId("layer-target").value;
    let shown = 0;
    for (const row of rows) {
      const fits = (!target || row.dataset.target === target) && words.every((word) => texts.get(row).includes(word));
      row.hidden = !fits;
      shown += fits;
    }
    byId("layer-count").textContent = `${shown} of ${rows.length} layers`;
  };
  byId("layer-search").addEventListener("input", filter);
  byId("layer-target").addEventListener("input", filter);
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, place) => head.querySelector("button").addEventListener("click", () => {
    const descending = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((other) => other.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const value = (row) => row.cells[place].dataset.value;
    const numbers = row => row.cells[place].classList.contains("number");
    const order = (a, b) => {
      if (!numbers(a)) return value(a).localeCompare(value(b), undefined, { numeric: true });
      const [x, y] = [value(a), value(b)].map((text) => (text === "" ? -Infinity : Number(text)));
      return x === y ? 0 : x < y ? -1 : 1;
    };
    rows.sort((a, b) => (descending ? -1 : 1) * order(a, b));
    body.append(...rows);
  }));
}

// The chip map: one canvas, so that thousands of tiles stay quick.
const canvas = byId("map-canvas");
if (canvas) {
  const [meshRows, meshColumns] = data.mesh;
  const size = Math.max(6, Math.min(28, Math.floor((canvas.parentElement.clientWidth - 16) / meshColumns)));
  const context = canvas.getContext("2d");
  let chip = 0, selected = null;
  const tiles = new Map(); // chip -> (row * columns + column -> block)
  data.blocks.forEach((block) => {
    if (!tiles.has(block[1])) tiles.set(block[1], new Map());
    tiles.get(block[1]).set(block[2] * meshColumns + block[3], block);
  });
  const hue = (number) => (number * 137.508) % 360;
  const targets = [...new Set(data.layers.map((layer) => layer.target))];
  const colour = (block) => {
    const dark = root.dataset.theme === "dark";
    const kind = byId("map-colour").value;
    if (kind === "utilisation") return `hsl(210 70% ${dark ? 20 + 45 * block[6] : 90 - 55 * block[6]}%)`;
    if (kind === "block") return `hsl(${hue(block[4][0] / 64 + 7 * (block[5][0] / 64))} 55% ${dark ? 55 : 50}%)`;
    const number = kind === "target" ? targets.indexOf(data.layers[block[0]].target) : block[0];
    return `hsl(${hue(number)} 55% ${dark ? 55 : 50}%)`;
  };
  const draw = () => {
    const ratio = window.devicePixelRatio || 1;
    canvas.width = meshColumns * size * ratio;
    canvas.height = meshRows * size * ratio;
    canvas.style.width = `${meshColumns * size}px`;
    canvas.style.height = `${meshRows * size}px`;
    context.scale(ratio, ratio);
    const line = getComputedStyle(root).getPropertyValue("--line"), text = getComputedStyle(root).getPropertyValue("--text");
    const wanted = byId("map-find").value.toLowerCase();
    const here = tiles.get(chip) || new Map();
    for (let row = 0; row < meshRows; row++) {
      for (let column = 0; column < meshColumns; column++) {
        const block = here.get(row * meshColumns + column);
        context.fillStyle = block ? colour(block) : line;
        context.globalAlpha = !block ? 0.35 : wanted && !data.layers[block[0]].name.toLowerCase().includes(wanted) ? 0.15 : 1;
        context.fillRect(column * size + 1, row * size + 1, size - 2, size - 2);
      }
    }
    context.globalAlpha = 1;
    if (selected) {
      context.strokeStyle = text;
      context.lineWidth = 2;
      context.strokeRect(selected[1] * size + 1, selected[0] * size + 1, size - 2, size - 2);
    }
  };
  const tell = (row, column) => {
    selected = [row, column];
    const block = (tiles.get(chip) || new Map()).get(row * meshColumns + column);
    const place = `Tile ${row}, ${column} of chip ${chip + 1}`;
    byId("map-detail").textContent = block
      ? `${place}: ${data.layers[block[0]].name} on ${data.layers[block[0]].target}, inputs ${block[4][0]} to ${block[4][1]}, outputs ${block[5][0]} to ${block[5][1]}, ${(100 * block[6]).toFixed(0)} % used`
      : `${place}: free`;
    draw();
  };
  const at = (event) => [Math.floor(event.offsetY / size), Math.floor(event.offsetX / size)];
  canvas.addEventListener("mousemove", (event) => {
    const [row, column] = at(event);
    if (row >= 0 && column >= 0 && row < meshRows && column < meshColumns && (!selected || row !== selected[0] || column !== selected[1])) tell(row, column);
  });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const [row, column] = selected || [0, -1];
    tell(Math.min(meshRows - 1, Math.max(0, row + step[0])), Math.min(meshColumns - 1, Math.max(0, column + step[1])));
  });
  byId("map-chip").addEventListener("input", (event) => { chip = Number(event.target.value); selected = null; draw(); });
  byId("map-colour").addEventListener("input", draw);
  byId("map-find").addEventListener("input", draw);
  document.addEventListener("theme", draw);
  draw();
}

// Decisions: written out when they are opened, since a large plan has many thousands.
const list = byId("decision-list");
if (list) {
  const figures = (items) => items.map((figure) => `${figure.name} ${Number(figure.value.toPrecision(4))}${figure.unit === "1" || figure.name.includes(figure.unit) ? "" : " " + figure.unit}`).join(", ");
  const add = (parent, tag, text) => { const made = document.createElement(tag); made.textContent = text; parent.append(made); return made; };
  const fill = (details) => {
    const place = details.querySelector("div");
    if (place.childElementCount) return;
    for (const decision of data.decisions[details.dataset.subject] || []) {
      add(place, "h3", `${decision.made_by}: ${decision.choice}`);
      add(place, "p", `${decision.reason}${decision.figures.length ? ` (${figures(decision.figures)})` : ""}`);
      if (decision.rejected.length) {
        const rejected = add(place, "ul", "");
        for (const other of decision.rejected) add(rejected, "li", `rejected: ${other.choice}${other.figures.length ? ` (${figures(other.figures)})` : ""}`);
      }
    }
  };
  for (const details of list.children) details.addEventListener("toggle", () => details.open && fill(details));
  byId("decision-search").addEventListener("input", (event) => {
    const words = event.target.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const details of list.children) {
      const text = details.querySelector("summary").textContent.toLowerCase();
      details.hidden = !words.every((word) => text.includes(word));
    }
  });
}
