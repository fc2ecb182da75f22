"use strict";
// Draws the views in the element "data". Layout first (pure functions on plain objects), then SVG.

const DATA = JSON.parse(document.getElementById("data").textContent);
const NS = document.getElementById("picture").namespaceURI;
const PAD = 9, LINE = 15, GAP_X = 26, GAP_Y = 44;

// ---- text

const ruler = document.createElement("canvas").getContext("2d");
function widthOf(text, bold) {
  ruler.font = (bold ? "bold 13px " : "11.5px ") + "Helvetica, Arial, sans-serif";
  return ruler.measureText(text).width;
}
function lineText(line) {
  const mark = line.role === "write" ? "\u2190 " : "";
  return mark + line.text;
}
function measure(box) {
  let width = widthOf(box.title, true);
  for (const line of box.lines) {
    const squares = line.phases.length * 13;
    const gap = line.text && line.type ? 8 : 0;
    width = Math.max(width, squares + widthOf(lineText(line)) + gap + widthOf(line.type));
  }
  box.w = Math.ceil(width) + 2 * PAD;
  box.h = 2 * PAD + LINE * (1 + box.lines.length) - 3;
}

// ---- layered layout: ranks by longest path, order by barycenter, x by neighbours' means

function forwardEdges(nodes, edges) {
  // Drops the edges that close a cycle, found depth first.
  const next = new Map(nodes.map(n => [n, []]));
  for (const e of edges) if (e.a !== e.b) next.get(e.a).push(e);
  const state = new Map(), back = new Set();
  for (const start of nodes) {
    if (state.has(start)) continue;
    const stack = [[start, 0]];
    state.set(start, 1);
    while (stack.length) {
      const top = stack[stack.length - 1];
      const e = next.get(top[0])[top[1]++];
      if (!e) { state.set(top[0], 2); stack.pop(); continue; }
      if (state.get(e.b) === 1) back.add(e);
      else if (!state.has(e.b)) { state.set(e.b, 1); stack.push([e.b, 0]); }
    }
  }
  return edges.filter(e => e.a !== e.b && !back.has(e));
}

function rankNodes(nodes, edges) {
  const ins = new Map(nodes.map(n => [n, 0])), outs = new Map(nodes.map(n => [n, []]));
  for (const e of edges) { ins.set(e.b, ins.get(e.b) + 1); outs.get(e.a).push(e.b); }
  const queue = nodes.filter(n => ins.get(n) === 0);
  for (const n of nodes) n.rank = 0;
  for (let i = 0; i < queue.length; i++) {
    for (const m of outs.get(queue[i])) {
      m.rank = Math.max(m.rank, queue[i].rank + 1);
      ins.set(m, ins.get(m) - 1);
      if (ins.get(m) === 0) queue.push(m);
    }
  }
  // A source stands just above its first reader, not at the top of the page.
  const fed = new Set(edges.map(e => e.b));
  for (const n of nodes) {
    if (fed.has(n) || !outs.get(n).length) continue;
    n.rank = Math.max(0, Math.min(...outs.get(n).map(m => m.rank)) - 1);
  }
}

function withBends(nodes, edges) {
  // Long edges pass through one bend a rank.
  const all = [...nodes], links = [];
  for (const e of edges) {
    e.bends = [];
    let last = e.a;
    for (let r = e.a.rank + 1; r < e.b.rank; r++) {
      const bend = { w: 8, h: 1, rank: r, bend: true };
      all.push(bend); e.bends.push(bend); links.push([last, bend]); last = bend;
    }
    links.push([last, e.b]);
  }
  return { all, links };
}

function layered(nodes, edges) {
  if (!nodes.length) return { w: 0, h: 0 };
  const used = forwardEdges(nodes, edges);
  rankNodes(nodes, used);
  const { all, links } = withBends(nodes, used);
  const ranks = [];
  for (const n of all) (ranks[n.rank] = ranks[n.rank] || []).push(n);
  const rows = ranks.filter(Boolean);
  const up = new Map(all.map(n => [n, []])), down = new Map(all.map(n => [n, []]));
  for (const [a, b] of links) { up.get(b).push(a); down.get(a).push(b); }
  orderRows(rows, up, down);
  placeRows(rows, up, down);
  let y = 0;
  for (const row of rows) {
    const tall = Math.max(...row.map(n => n.h));
    for (const n of row) n.y = y + (tall - n.h) / 2;
    y += tall + GAP_Y;
  }
  const left = Math.min(...all.map(n => n.x));
  for (const n of all) n.x -= left;
  return { w: Math.max(...all.map(n => n.x + n.w)), h: y - GAP_Y };
}

function orderRows(rows, up, down) {
  const number = row => row.forEach((n, i) => { n.at = i; });
  rows.forEach(number);
  for (let sweep = 0; sweep < 12; sweep++) {
    const near = sweep % 2 ? down : up;
    for (const row of sweep % 2 ? [...rows].reverse() : rows) {
      for (const n of row) {
        const others = near.get(n);
        n.key = others.length ? others.reduce((s, m) => s + m.at, 0) / others.length : n.at;
      }
      row.sort((a, b) => a.key - b.key || a.at - b.at);
      number(row);
    }
  }
}

function placeRows(rows, up, down) {
  const centre = n => n.x + n.w / 2;
  for (const row of rows) {
    let x = 0;
    for (const n of row) { n.x = x; x += n.w + GAP_X; }
  }
  for (let sweep = 0; sweep < 24; sweep++) {
    for (const row of sweep % 2 ? [...rows].reverse() : rows) {
      const wanted = row.map(n => {
        const others = [...up.get(n), ...down.get(n)];
        const mean = others.reduce((s, m) => s + centre(m), 0) / (others.length || 1);
        return others.length ? mean - n.w / 2 : n.x;
      });
      // The mean of the two ways to keep boxes apart favours neither side.
      const right = [...wanted], left = [...wanted];
      for (let i = 1; i < row.length; i++)
        right[i] = Math.max(right[i], right[i - 1] + row[i - 1].w + GAP_X);
      for (let i = row.length - 2; i >= 0; i--)
        left[i] = Math.min(left[i], left[i + 1] - row[i].w - GAP_X);
      row.forEach((n, i) => { n.x = (left[i] + right[i]) / 2; });
    }
  }
}

// ---- layout of a view: groups are laid out inside, then as one box each

function layoutGroups(view) {
  const boxes = new Map(view.boxes.map(b => [b.id, b]));
  const holder = new Map(), items = [];
  for (const group of view.groups) {
    const members = view.boxes.filter(b => b.group === group.id);
    if (!members.length) continue;
    const inside = view.edges
      .filter(e => boxes.get(e.source).group === group.id && boxes.get(e.target).group === group.id)
      .map(e => ({ a: boxes.get(e.source), b: boxes.get(e.target) }));
    const size = layered(members, inside);
    const heads = group.title.split("\n");
    group.head = LINE * heads.length + PAD;
    group.w = Math.max(size.w, ...heads.map(t => widthOf(t, false))) + 2 * PAD;
    group.h = size.h + group.head + 2 * PAD;
    group.members = members;
    members.forEach(m => holder.set(m, group));
    items.push(group);
  }
  for (const box of view.boxes) if (!holder.has(box)) { holder.set(box, box); items.push(box); }
  const outer = new Map();
  for (const e of view.edges) {
    const a = holder.get(boxes.get(e.source)), b = holder.get(boxes.get(e.target));
    if (a === b) continue;
    const key = items.indexOf(a) + " " + items.indexOf(b);
    if (!outer.has(key)) outer.set(key, { a, b });
    e.outer = outer.get(key);
  }
  const size = layered(items, [...outer.values()]);
  for (const group of items.filter(i => i.members))
    for (const m of group.members) { m.x += group.x + PAD; m.y += group.y + group.head + PAD; }
  return size;
}

function layoutTable(view) {
  const cells = view.boxes.filter(b => b.row >= 0);
  const free = view.boxes.filter(b => b.row < 0);
  const boxes = new Map(view.boxes.map(b => [b.id, b]));
  const margin = Math.max(0, ...free.map(b => b.w)) + 50;
  const wide = [], tall = [];
  for (const b of cells) wide[b.column] = Math.max(wide[b.column] || 0, b.w);
  // A box outside the table stands left of the row it is read or made in.
  const beside = {};
  for (const b of free) {
    const rows = view.edges.filter(e => e.source === b.id || e.target === b.id)
      .map(e => boxes.get(e.source === b.id ? e.target : e.source).row).filter(r => r >= 0);
    b.beside = rows.length ? Math.min(...rows) : 0;
    (beside[b.beside] = beside[b.beside] || []).push(b);
  }
  for (const b of cells) tall[b.row] = Math.max(tall[b.row] || 0, b.h);
  for (const r in beside)
    tall[r] = Math.max(tall[r] || 0, beside[r].reduce((s, b) => s + b.h + 8, -8));
  const xs = [], ys = [];
  let x = margin, y = 40;
  for (let c = 0; c < view.columns.length; c++) { xs[c] = x; x += (wide[c] || 60) + 90; }
  for (let r = 0; r < tall.length; r++) if (tall[r]) { ys[r] = y; y += tall[r] + GAP_Y * 0.8; }
  for (const b of cells) {
    b.x = xs[b.column] + ((wide[b.column] || 60) - b.w) / 2;
    b.y = ys[b.row] + (tall[b.row] - b.h) / 2;
  }
  for (const r in beside) {
    let top = ys[r];
    for (const b of beside[r]) { b.x = 0; b.y = top; top += b.h + 8; }
  }
  view.heads = view.columns.map((text, c) => ({ text, x: xs[c] + (wide[c] || 60) / 2 }));
  return { w: x - 90, h: y };
}

// ---- drawing

function make(tag, attributes, parent, text) {
  const element = document.createElementNS(NS, tag);
  for (const key in attributes) element.setAttribute(key, attributes[key]);
  if (text !== undefined) element.textContent = text;
  if (parent) parent.appendChild(element);
  return element;
}
function ink(box) { return DATA.inks[box.role] || DATA.inks[box.phase] || DATA.inks.other; }

function drawBox(box, parent) {
  const g = make("g", { class: "box", transform: `translate(${box.x},${box.y})`, tabindex: 0 }, parent);
  const round = box.role === "data" || box.role === "output" ? box.h / 2
    : box.role === "node" ? 8 : 0;
  make("rect", { width: box.w, height: box.h, rx: round, fill: ink(box).pale,
    stroke: ink(box).strong, "stroke-width": 1.4 }, g);
  make("text", { x: box.w / 2, y: PAD + 10, "text-anchor": "middle", "font-size": 13,
    "font-weight": "bold" }, g, box.title);
  box.lines.forEach((line, i) => drawLine(line, box, PAD + 10 + LINE * (i + 1), g));
  g.addEventListener("click", event => { event.stopPropagation(); choose(box); });
  g.addEventListener("keydown", event => { if (event.key === "Enter") choose(box); });
  box.element = g;
}
function drawLine(line, box, y, parent) {
  let x = PAD;
  for (const phase of line.phases) {
    make("rect", { x, y: y - 9, width: 10, height: 10, fill: DATA.inks[phase].strong }, parent);
    x += 13;
  }
  const variable = line.role === "write" || line.role === "parameter";
  const colour = variable ? DATA.inks.parameter.strong : line.role ? "#777" : "#111";
  const text = lineText(line);
  if (text) {
    make("text", { x, y, "font-size": 11.5, fill: colour }, parent, text);
    x += widthOf(text) + 8;
  } else {
    x = (box.w - widthOf(line.type)) / 2;
  }
  if (line.type) make("text", { x, y, "font-size": 11.5, fill: "#555" }, parent, line.type);
}
function drawGroup(group, parent) {
  const colours = DATA.inks[group.phase] || DATA.inks.other;
  make("rect", { x: group.x, y: group.y, width: group.w, height: group.h, rx: 8,
    fill: colours.faint, stroke: colours.strong, "stroke-width": 1 }, parent);
  group.title.split("\n").forEach((text, i) => make("text",
    { x: group.x + PAD, y: group.y + LINE * (i + 1), "font-size": 11.5, fill: "#333" }, parent, text));
}
function sidePath(a, b) {
  // In a table, an edge leaves a box on the side where the other one stands.
  const ax = a.x + a.w / 2, bx = b.x + b.w / 2;
  if (a.x + a.w < b.x || b.x + b.w < a.x) {
    const right = a.x < b.x;
    const x1 = right ? a.x + a.w : a.x, x2 = right ? b.x : b.x + b.w;
    const y1 = a.y + a.h / 2, y2 = b.y + b.h / 2, m = (x1 + x2) / 2;
    return `M${x1} ${y1} C${m} ${y1} ${m} ${y2} ${x2} ${y2}`;
  }
  const lower = a.y < b.y;
  const y1 = lower ? a.y + a.h : a.y, y2 = lower ? b.y : b.y + b.h, m = (y1 + y2) / 2;
  return `M${ax} ${y1} C${ax} ${m} ${bx} ${m} ${bx} ${y2}`;
}
function bentPath(a, b, bends) {
  const points = [[a.x + a.w / 2, a.y + a.h], ...bends.map(p => [p.x + p.w / 2, p.y]),
    [b.x + b.w / 2, b.y]];
  let path = `M${points[0][0]} ${points[0][1]}`;
  for (let i = 1; i < points.length; i++) {
    const [x1, y1] = points[i - 1], [x2, y2] = points[i], m = (y1 + y2) / 2;
    path += ` C${x1} ${m} ${x2} ${m} ${x2} ${y2}`;
  }
  return path;
}
function drawEdge(view, e, boxes, parent) {
  const a = boxes.get(e.source), b = boxes.get(e.target);
  const bends = (e.outer && e.outer.bends) || [];
  const d = view.columns.length ? sidePath(a, b)
    : b.y >= a.y + a.h ? bentPath(a, b, bends) : sidePath(a, b);
  e.element = make("path", { d, class: "edge " + e.style,
    "marker-end": "url(#arrow)" }, parent);
  if (e.label) make("title", {}, e.element, e.label);
}

const scene = document.getElementById("scene"), picture = document.getElementById("picture");
let current = null, size = { w: 1, h: 1 };

function show(view) {
  current = view;
  scene.replaceChildren();
  view.boxes.forEach(measure);
  size = view.columns.length ? layoutTable(view) : layoutGroups(view);
  const boxes = new Map(view.boxes.map(b => [b.id, b]));
  for (const group of view.groups) if (group.members) drawGroup(group, scene);
  for (const head of view.columns.length ? view.heads : [])
    make("text", { x: head.x, y: 18, "text-anchor": "middle", "font-size": 17, "font-weight": "bold",
      fill: (DATA.inks[head.text] || DATA.inks.other).strong }, scene, head.text);
  for (const e of view.edges) drawEdge(view, e, boxes, scene);
  for (const box of view.boxes) drawBox(box, scene);
  drawLegend(view);
  find();
  fit();
}

function drawLegend(view) {
  const legend = document.getElementById("legend");
  legend.replaceChildren();
  for (const key of view.legend) {
    const sample = document.createElement("span");
    sample.className = "sample";
    sample.textContent = DATA.names[key] || key;
    sample.style.background = DATA.inks[key].pale;
    sample.style.borderColor = DATA.inks[key].strong;
    legend.appendChild(sample);
  }
}

function choose(box) {
  const panel = document.getElementById("panel");
  panel.replaceChildren();
  const head = document.createElement("h2");
  head.textContent = box.title;
  panel.appendChild(head);
  const list = document.createElement("dl");
  const rows = box.lines.map(l => ["", [lineText(l), l.type].filter(Boolean).join("  ")]);
  for (const [label, text] of [...rows, ...box.details]) {
    if (label) list.appendChild(document.createElement("dt")).textContent = label;
    list.appendChild(document.createElement("dd")).textContent = text;
  }
  panel.appendChild(list);
  for (const b of current.boxes) b.element.classList.toggle("chosen", b === box);
  for (const e of current.edges)
    e.element.classList.toggle("near", e.source === box.id || e.target === box.id);
}

function find() {
  const wanted = document.getElementById("search").value.trim().toLowerCase();
  let hits = 0;
  for (const box of current.boxes) {
    const text = [box.title, ...box.lines.map(l => l.text + " " + l.type),
      ...box.details.map(d => d[1])].join("\n").toLowerCase();
    const hit = !wanted || text.includes(wanted);
    hits += hit ? 1 : 0;
    box.element.classList.toggle("dim", !hit);
  }
  for (const e of current.edges) e.element.classList.toggle("dim", Boolean(wanted));
  document.getElementById("hits").textContent = wanted ? `${hits} found` : "";
}

// ---- moving and zooming

const sight = { x: 0, y: 0, k: 1 };
function look() { scene.setAttribute("transform", `translate(${sight.x},${sight.y}) scale(${sight.k})`); }
function fit() {
  const room = picture.getBoundingClientRect();
  sight.k = Math.min(1.5, (room.width - 30) / size.w, (room.height - 30) / size.h);
  // A very tall graph starts at its top, at a size that can be read.
  sight.k = Math.max(sight.k, Math.min(0.35, (room.width - 30) / size.w));
  sight.x = (room.width - size.w * sight.k) / 2;
  sight.y = Math.max(15, (room.height - size.h * sight.k) / 2);
  look();
}
picture.addEventListener("wheel", event => {
  event.preventDefault();
  const room = picture.getBoundingClientRect();
  const x = event.clientX - room.left, y = event.clientY - room.top;
  const factor = Math.exp(-event.deltaY * 0.0015);
  sight.x = x - (x - sight.x) * factor;
  sight.y = y - (y - sight.y) * factor;
  sight.k *= factor;
  look();
}, { passive: false });
let held = null;
picture.addEventListener("pointerdown", event => { held = { x: event.clientX, y: event.clientY }; });
window.addEventListener("pointermove", event => {
  if (!held) return;
  picture.classList.add("moving");
  sight.x += event.clientX - held.x;
  sight.y += event.clientY - held.y;
  held = { x: event.clientX, y: event.clientY };
  look();
});
window.addEventListener("pointerup", () => { held = null; picture.classList.remove("moving"); });

// ---- start

document.getElementById("title").textContent = DATA.title;
const choice = document.getElementById("choice");
for (const view of DATA.views) {
  const label = document.createElement("label"), radio = document.createElement("input");
  radio.type = "radio";
  radio.name = "detail";
  radio.checked = view.detail === DATA.start;
  radio.addEventListener("change", () => show(view));
  label.append(radio, view.detail);
  choice.appendChild(label);
}
document.getElementById("search").addEventListener("input", find);
document.getElementById("fit").addEventListener("click", fit);
window.addEventListener("resize", fit);
show(DATA.views.find(view => view.detail === DATA.start));
