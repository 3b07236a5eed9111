const data = JSON.parse(document.getElementById('data').textContent);
const byId = (id) => document.getElementById(id);
const whole = (value) => Math.round(value).toLocaleString('en-US');
const short = (value) => value.toLocaleString('en-US', {maximumSignificantDigits: 3});

function draw(parent, name, attributes, text) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

function rows(body, lines) {
  body.replaceChildren(...lines.map((cells) => {
    const row = document.createElement('tr');
    cells.forEach((text, place) => {
      const cell = document.createElement(place ? 'td' : 'th');
      if (!place) cell.scope = 'row';
      cell.textContent = text;
      row.append(cell);
    });
    return row;
  }));
}

/* A line through points [x, y]. Options: another line within the same scales, and whether it goes in
   stairs; dots (a third true makes one large); limits as horizontal lines, a cursor as a vertical
   one; what writes the numbers of each axis. */
function chart(svg, points, options = {}) {
  const [width, height, left, bottom, top] = [420, 200, 62, 24, 10];
  const ys = points.map((p) => p[1]).concat(options.limits || []);
  const xs = points.map((p) => p[0]);
  const low = options.fromZero ? 0 : Math.min(...ys), high = Math.max(...ys);
  const first = Math.min(...xs), last = Math.max(...xs);
  const x = (v) => left + (last > first ? (v - first) / (last - first) : .5) * (width - left - 10);
  const y = (v) => top + (high > low ? 1 - (v - low) / (high - low) : .5) * (height - top - bottom);
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
  svg.replaceChildren();
  const write = options.write || short, writeX = options.writeX || whole;
  for (const value of high > low ? [low, (low + high) / 2, high] : [low]) {
    draw(svg, 'line', {x1: left, x2: width - 10, y1: y(value), y2: y(value), stroke: 'var(--line)'});
    draw(svg, 'text', {x: left - 6, y: y(value) + 4, 'text-anchor': 'end', class: 'faint'}, write(value));
  }
  draw(svg, 'text', {x: left, y: height - 6, class: 'faint'}, writeX(first));
  if (last > first) draw(svg, 'text', {x: width - 10, y: height - 6, 'text-anchor': 'end', class: 'faint'}, writeX(last));
  for (const limit of options.limits || []) {
    draw(svg, 'line', {x1: left, x2: width - 10, y1: y(limit), y2: y(limit), stroke: 'var(--decoder)', 'stroke-width': 2, 'stroke-dasharray': '6 4', class: 'limit'});
  }
  const line = options.line || points;
  const path = line.map((p, i) => {
    const corner = options.stairs && i ? `L${x(p[0])},${y(line[i - 1][1])}` : '';
    return `${corner}${i ? 'L' : 'M'}${x(p[0])},${y(p[1])}`;
  }).join('');
  draw(svg, 'path', {d: path, fill: 'none', stroke: 'var(--decoder)', 'stroke-width': 2, class: 'line'});
  for (const p of options.dots || (points.length < 2 ? points : [])) {
    const marked = p[2] === true;
    draw(svg, 'circle', {cx: x(p[0]), cy: y(p[1]), r: marked ? 7 : 3.5, fill: marked ? 'var(--decoder)' : 'var(--encoder)'});
  }
  if (options.cursor !== undefined) {
    const at = Math.min(Math.max(options.cursor, first), last);
    draw(svg, 'line', {x1: x(at), x2: x(at), y1: top, y2: height - bottom, stroke: 'var(--accent)', class: 'cursor'});
  }
}
