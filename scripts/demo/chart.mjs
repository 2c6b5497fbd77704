// The client's view as a picture: bytes over time, one panel for each fault.

/**
 * @typedef {object} Panel
 * @property {string} title
 * @property {import('./download.mjs').Arrival[]} arrivals
 * @property {number} faultMs
 * @property {string} fault what is written at the fault's mark
 * @property {{fromMs: number, toMs: number, bytes: number}} gap
 */

const WIDTH = 920;
const HEIGHT = 700;
const PLOT = {width: 350, height: 210};
const LEFT = [78, 528];
const TOP = [104, 414];
const LABEL_WIDTH = 145;
const INK = '#1f2933';
const FAINT = '#d9dee4';
const LINE = '#1f6fb2';
const FAULT = '#c2261d';

/**
 * A step for `count` or fewer ticks from 0 to `max`: 1, 2 or 5 times a power of ten.
 * @param {number} max
 * @param {number} count
 */
export function tickStep(max, count) {
  const rough = max / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5].find(each => each * power >= rough) ?? 10;
  return step * power;
}

/**
 * @param {readonly Panel[]} panels up to four
 * @param {string} subtitle
 * @returns {string} SVG
 */
export function drawChart(panels, subtitle) {
  const all = panels.flatMap(panel => panel.arrivals);
  // One scale for all panels, so that they can be compared.
  const xStep = tickStep(Math.max(...all.map(each => each.ms)), 6);
  const yStep = tickStep(Math.max(...all.map(each => each.bytes)), 5);
  const scale = {
    xStep,
    yStep,
    xMax: Math.ceil(Math.max(...all.map(each => each.ms)) / xStep) * xStep,
    yMax: Math.ceil(Math.max(...all.map(each => each.bytes)) / yStep) * yStep,
  };
  const body = panels.map((panel, index) => {
    const x = LEFT[index % 2] ?? 0;
    const y = TOP[Math.floor(index / 2)] ?? 0;
    return `<g transform="translate(${x} ${y})">${drawPanel(panel, scale)}</g>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" font-family="system-ui, 'DejaVu Sans', sans-serif" font-size="12" fill="${INK}">
<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>
<text x="24" y="34" font-size="18" font-weight="600">What a client received while the server's process died</text>
<text x="24" y="56" fill="#52606d">${escapeText(subtitle)}</text>
${body.join('\n')}
</svg>
`;
}

/**
 * @param {Panel} panel
 * @param {{xMax: number, yMax: number, xStep: number, yStep: number}} scale
 */
function drawPanel(panel, {xMax, yMax, xStep, yStep}) {
  const x = (/** @type {number} */ ms) => ((ms / xMax) * PLOT.width).toFixed(1);
  const y = (/** @type {number} */ bytes) => (PLOT.height - (bytes / yMax) * PLOT.height).toFixed(1);
  const parts = [`<text x="0" y="-14" font-size="14" font-weight="600">${escapeText(panel.title)}</text>`];
  for (let ms = 0; ms <= xMax; ms += xStep) {
    parts.push(`<line x1="${x(ms)}" y1="0" x2="${x(ms)}" y2="${PLOT.height}" stroke="${FAINT}"/>`);
    parts.push(`<text x="${x(ms)}" y="${PLOT.height + 17}" text-anchor="middle">${ms}</text>`);
  }
  for (let bytes = 0; bytes <= yMax; bytes += yStep) {
    parts.push(`<line x1="0" y1="${y(bytes)}" x2="${PLOT.width}" y2="${y(bytes)}" stroke="${FAINT}"/>`);
    parts.push(`<text x="-8" y="${Number(y(bytes)) + 4}" text-anchor="end">${bytes / 1e6}</text>`);
  }
  parts.push(
    `<text x="${PLOT.width / 2}" y="${PLOT.height + 36}" text-anchor="middle">milliseconds since the request began</text>`,
    `<text transform="translate(-38 ${PLOT.height / 2}) rotate(-90)" text-anchor="middle">megabytes received</text>`,
    `<rect x="${x(panel.gap.fromMs)}" y="0" width="${x(panel.gap.toMs - panel.gap.fromMs)}" height="${PLOT.height}" fill="${FAULT}" fill-opacity="0.08"/>`,
    // A step: between two arrivals the client has what it had.
    `<path d="${steps(panel.arrivals, x, y)}" fill="none" stroke="${LINE}" stroke-width="2" stroke-linejoin="round"/>`,
    `<line x1="${x(panel.faultMs)}" y1="0" x2="${x(panel.faultMs)}" y2="${PLOT.height}" stroke="${FAULT}" stroke-width="1.5" stroke-dasharray="5 3"/>`,
  );
  const label = labelPlace(Number(x(panel.faultMs)), Number(x(Math.max(panel.faultMs, panel.gap.toMs))));
  const gapMs = Math.round(panel.gap.toMs - panel.gap.fromMs);
  parts.push(
    `<text x="${label.x}" y="${label.y}" text-anchor="${label.anchor}" fill="${FAULT}" font-weight="600">${escapeText(panel.fault)}</text>`,
    `<text x="${label.x}" y="${label.y + 16}" text-anchor="${label.anchor}" fill="${FAULT}">longest gap ${gapMs} ms</text>`,
  );
  return parts.join('\n');
}

/**
 * Where the fault's label is clear of the curve, which comes from the lower left and rises where the gap ends.
 * @param {number} fault
 * @param {number} gapEnd
 */
function labelPlace(fault, gapEnd) {
  if (fault > LABEL_WIDTH) return {x: fault - 7, y: 16, anchor: 'end'};
  if (PLOT.width - gapEnd > LABEL_WIDTH) return {x: gapEnd + 14, y: PLOT.height - 30, anchor: 'start'};
  return {x: fault + 7, y: 16, anchor: 'start'};
}

/**
 * @param {readonly import('./download.mjs').Arrival[]} arrivals
 * @param {(ms: number) => string} x
 * @param {(bytes: number) => string} y
 */
function steps(arrivals, x, y) {
  const [first, ...rest] = arrivals;
  if (first === undefined) return '';
  return `M${x(first.ms)} ${y(first.bytes)}${rest.map(each => `H${x(each.ms)}V${y(each.bytes)}`).join('')}`;
}

function escapeText(/** @type {string} */ text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
