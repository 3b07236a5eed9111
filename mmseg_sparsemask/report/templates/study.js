const cells = data.cells;
const better = (a, b) => (a.feasible !== b.feasible ? a.feasible : a.score > b.score);
const bestOf = (list) => list.reduce((a, b) => (better(b, a) ? b : a));
const front = [];
for (const cell of cells.filter((c) => c.feasible).sort((a, b) => a.parameters - b.parameters || b.score - a.score)) {
  if (!front.length || cell.score > front[front.length - 1].score) front.push(cell);
}

/* Branches in columns by how many branches lie between them and the feature. */
function drawCell(branches) {
  const svg = byId('cell');
  const depth = [];
  branches.forEach(([source], i) => { depth[i] = source < 0 ? 1 : depth[source] + 1; });
  const columns = Math.max(...depth) + 1, width = 180;
  const height = 44 * branches.length + 20;
  svg.setAttribute('viewBox', `0 0 ${width * (columns + 1)} ${height}`);
  svg.setAttribute('width', width * (columns + 1));
  svg.replaceChildren();
  const at = (i) => (i < 0 ? [80, height / 2] : [80 + width * depth[i], 30 + 44 * i]);
  const [endX, endY] = [80 + width * columns, height / 2];
  const arrow = (x1, y1, x2, y2, colour) => draw(svg, 'path', {d: `M${x1},${y1}C${x1 + 30},${y1} ${x2 - 30},${y2} ${x2},${y2}`, fill: 'none', stroke: colour, 'stroke-width': 1.5, class: 'arrow'});
  branches.forEach(([source], i) => {
    arrow(at(source)[0] + 66, at(source)[1], at(i)[0] - 66, at(i)[1], 'var(--encoder)');
    arrow(at(i)[0] + 66, at(i)[1], endX - 66, endY, 'var(--line)');
  });
  const box = (x, y, text, colour) => {
    draw(svg, 'rect', {x: x - 66, y: y - 14, width: 132, height: 28, rx: 5, fill: colour, class: 'node'});
    draw(svg, 'text', {x, y: y + 4, 'text-anchor': 'middle', class: 'on'}, text);
  };
  box(...at(-1), 'feature', 'var(--global)');
  branches.forEach(([, name], i) => box(...at(i), `${i}: ${name}`, 'var(--encoder)'));
  box(endX, endY, 'concatenation', 'var(--decoder)');
}

function update() {
  const index = Number(byId('trial').value), cell = cells[index];
  byId('trial-value').textContent = cell.number;
  byId('trial').setAttribute('aria-valuetext', `trial ${cell.number}`);
  byId('score').textContent = cell.score.toFixed(2);
  byId('best').textContent = bestOf(cells.slice(0, index + 1)).score.toFixed(2);
  byId('parameters').textContent = whole(cell.parameters);
  byId('multiply-adds').textContent = whole(cell.multiply_adds);
  drawCell(cell.branches);
  const best = cells.map((c, i) => [c.number, bestOf(cells.slice(0, i + 1)).score]);
  const dots = cells.map((c) => [c.number, c.score, c === cell]);
  chart(byId('chart-history'), dots, {line: best, stairs: true, dots, cursor: cell.number});
  const all = cells.map((c) => [c.parameters, c.score, c === cell]);
  chart(byId('chart-front'), all, {line: front.map((c) => [c.parameters, c.score]), stairs: true, dots: all});
}

byId('trial').max = cells.length - 1;
byId('trial').value = cells.indexOf(bestOf(cells));
byId('trial').addEventListener('input', update);
update();
