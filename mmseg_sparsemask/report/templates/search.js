/* The rules of connectivity/prune.py: connections below the threshold go, then stages without
   inputs and stages that nobody uses, until nothing changes. The end counts as used. */
function prune(weights, threshold) {
  let kept = weights.map((weight, i) => i).filter((i) => weights[i] >= threshold);
  for (;;) {
    const filled = new Set(kept.map((i) => data.connections[i][1]));
    const used = new Set(kept.map((i) => data.connections[i][0])).add(data.end);
    const smaller = kept.filter((i) => {
      const [source, stage] = data.connections[i];
      return used.has(stage) && (filled.has(source) || !source.startsWith('D'));
    });
    if (smaller.length === kept.length) return kept;
    kept = smaller;
  }
}

function cost(kept, costs) {
  if (!kept.length) return 0;
  const stages = new Set(kept.map((i) => data.connections[i][1]));
  let sum = costs.fixed;
  for (const stage of stages) sum += costs.stages[stage];
  for (const i of kept) sum += costs.connections[i];
  return sum;
}

const levels = data.strides.length;
const place = {G: [90, 40 * levels + 70]};
for (let l = 1; l <= levels; l++) {
  place[`E${l}`] = [90, 40 * l];
  place[`D${l}`] = [300, 40 * l];
}
const hue = (name) => ({E: 'var(--encoder)', D: 'var(--decoder)'})[name[0]] || 'var(--global)';

function graph(kept, weights) {
  const svg = byId('graph');
  svg.setAttribute('viewBox', `0 0 460 ${40 * levels + 100}`);
  svg.replaceChildren();
  const alive = new Set(kept.flatMap((i) => data.connections[i]));
  for (const i of kept) {
    const [source, stage] = data.connections[i];
    const [x1, y1] = place[source], [x2, y2] = place[stage];
    const bend = 345 + 8 * Math.abs(y1 - y2) / 40;
    const path = source.startsWith('D')
      ? `M${x1 + 18},${y1 - 5}C${bend},${y1 - 5} ${bend},${y2 + 5} ${x2 + 18},${y2 + 5}`
      : `M${x1 + 18},${y1}L${x2 - 18},${y2}`;
    const line = draw(svg, 'path', {d: path, fill: 'none', stroke: hue(source), 'stroke-width': 1 + 2 * weights[i], opacity: .35 + .6 * weights[i], class: 'connection', 'data-connection': `${source} ${stage}`});
    draw(line, 'title', {}, `${source} → ${stage}: ${short(weights[i])}`);
  }
  if (alive.has(data.end)) {
    draw(svg, 'path', {d: `M318,${place[data.end][1] - 5}H380`, stroke: hue('D'), 'stroke-width': 2});
    draw(svg, 'text', {x: 385, y: place[data.end][1] - 1}, 'classifier');
  }
  for (const [name, [x, y]] of Object.entries(place)) {
    const on = alive.has(name);
    draw(svg, 'rect', {x: x - 18, y: y - 13, width: 36, height: 26, rx: 5, fill: on ? hue(name) : 'var(--unused)', class: on ? 'node on' : 'node', 'data-node': name});
    draw(svg, 'text', {x, y: y + 4, 'text-anchor': 'middle', class: on ? 'on' : 'faint'}, name);
    if (name[0] === 'E') draw(svg, 'text', {x: x - 26, y: y + 4, 'text-anchor': 'end', class: 'faint'}, `1/${data.strides[name.slice(1) - 1]}`);
  }
}

function stages(kept, weights) {
  const inputs = {};
  for (const i of kept) (inputs[data.connections[i][1]] ||= []).push(i);
  const names = Object.keys(inputs).sort((a, b) => b.slice(1) - a.slice(1));
  rows(byId('stages'), names.map((stage) => [
    stage,
    data.strides[stage.slice(1) - 1],
    inputs[stage].map((i) => `${data.connections[i][0]} (${weights[i].toFixed(2)})`).join(' '),
    whole(data.parameters.stages[stage] + inputs[stage].reduce((sum, i) => sum + data.parameters.connections[i], 0)),
  ]));
}

let past = {threshold: undefined, kept: []};

function update() {
  const record = Number(byId('step').value), threshold = data.thresholds[Number(byId('threshold').value)];
  const step = data.steps[record], weights = data.weights[record];
  if (past.threshold !== threshold) past = {threshold, kept: data.weights.map((row) => prune(row, threshold))};
  const kept = past.kept[record];
  const below = weights.filter((w) => w < threshold), above = weights.filter((w) => w >= threshold);
  byId('step-value').textContent = whole(step);
  byId('threshold-value').textContent = threshold;
  byId('step').setAttribute('aria-valuetext', `iteration ${step}`);
  byId('threshold').setAttribute('aria-valuetext', `threshold ${threshold}`);
  byId('connections').textContent = kept.length ? `${kept.length} of ${data.connections.length}` : `none: nothing reaches ${data.end}`;
  byId('parameters').textContent = whole(cost(kept, data.parameters));
  byId('multiply-adds').textContent = whole(cost(kept, data.multiply_adds));
  byId('dropped').textContent = below.length ? short(Math.max(...below)) : 'nothing dropped';
  byId('kept').textContent = above.length ? short(Math.min(...above)) : 'nothing kept';
  graph(kept, weights);
  stages(kept, weights);
  const limits = (kind) => kind in data.budgets ? [data.budgets[kind]] : [];
  const over = (f) => data.steps.map((s, i) => [s, f(past.kept[i])]);
  const common = {cursor: step, fromZero: true, write: (v) => v >= 1e5 ? `${short(v / 1e6)} M` : short(v)};
  chart(byId('chart-connections'), over((k) => k.length), common);
  chart(byId('chart-parameters'), over((k) => cost(k, data.parameters)), {...common, limits: limits('parameters')});
  chart(byId('chart-multiply-adds'), over((k) => cost(k, data.multiply_adds)), {...common, limits: limits('multiply_adds')});
  if (data.scores.length) {
    chart(byId('chart-scores'), data.scores, {cursor: step, dots: data.scores});
    const done = data.scores.filter((s) => s[0] <= step);
    byId('score').textContent = done.length ? `${short(done[done.length - 1][1])} (iteration ${done[done.length - 1][0]})` : 'not yet';
  }
  rows(byId('history'), data.steps.map((s, i) => [
    s, past.kept[i].length, whole(cost(past.kept[i], data.parameters)), whole(cost(past.kept[i], data.multiply_adds))]));
}

byId('step').max = data.steps.length - 1;
byId('step').value = data.steps.length - 1;
byId('threshold').max = data.thresholds.length - 1;
byId('threshold').value = data.thresholds.indexOf(data.threshold);
for (const id of ['step', 'threshold']) byId(id).addEventListener('input', update);
update();
