// What a page does once its data are read.

function setUpSchur(schur, size, at, choose) {
  const { level, largest, decades } = schur.T;
  const levels = Int16Array.from(level, (value) => value - 1);
  const blocks = new Int32Array(size);
  schur.starts.forEach((start, block) => blocks.fill(block, start, start + schur.sizes[block]));
  const value = (row, column) => {
    const found = level[row * size + column];
    return found ? largest * 10 ** (((found - 1) / 254 - 1) * decades) : 0;
  };
  const lambda = (row) => {
    const [re, im] = [schur.eigenvalues[row], schur.eigenvalues[size + row]];
    return im ? `${shown(re)} ${im > 0 ? "+" : "−"} ${shown(Math.abs(im))}i` : shown(re);
  };
  const output = at("schur-value");
  const circles = [...at("spectrum-figure").querySelectorAll(".eigenvalue")];
  const mark = (to, from) => circles.forEach((circle, row) => {
    circle.classList.toggle("chosen", blocks[row] === to || blocks[row] === from);
    circle.classList.toggle("from", blocks[row] === from && to !== from);
  });
  const map = new SquareMap(at("schur"), size, (row, column) => {
    const [to, from] = [blocks[row], blocks[column]];
    const entry = value(row, column);
    output.textContent =
      `|T| in row ${row}, column ${column}: ${entry ? `≈ ${shown(entry, false, 2)}` : "0"}; ` +
      `λ ${lambda(row)} (row, orange), ${lambda(column)} (column, blue)`;
    mark(to, from);
    choose(to, from);
  });
  map.show(levels, PLAIN, [shown(largest / 10 ** decades, false, 1), shown(largest)]);
  const figure = at("spectrum-figure");
  figure.addEventListener("pointermove", (event) => {
    const row = circles.indexOf(event.target);
    if (row < 0) return;
    const start = schur.starts[blocks[row]];
    mark(blocks[row], blocks[row]);
    map.cross(start, schur.sizes[blocks[row]]);
    output.textContent = `λ ${lambda(row)}, row and column ${row}`;
  });
  return {
    map,
    mark,
    cut(n_R, alpha) {
      circles.forEach((circle, row) => circle.classList.toggle("in", row < n_R));
      map.cut(n_R);
      const circle = figure.querySelector(".circle");
      if (circle && alpha !== null) circle.setAttribute("r", Math.max(0, alpha * figure.dataset.unit).toFixed(1));
    },
  };
}

// What is kept of a pair: its effects on trials, or their quantiles, or nothing.
function trialsOf(trials, pair) {
  const kept = trials ? trials.pair.indexOf(pair) : -1, rest = trials ? trials.rest.indexOf(pair) : -1;
  if (kept >= 0) {
    const count = trials.trial.length;
    const values = [...trials.effect.slice(count * kept, count * (kept + 1))]
      .map((value) => (value === -32768 ? NaN : (value / 32767) * trials.scale[kept]));
    return { name: "trial", at: [...trials.trial], values };
  }
  if (rest < 0) return null;
  return { name: "quantile", at: [0.05, 0.25, 0.5, 0.75, 0.95], values: [...trials.quantiles.slice(5 * rest, 5 * rest + 5)] };
}

// Removal of the pair on single trials: a histogram, or quantiles.
function drawTrials(found, at) {
  const svg = at("pair-trials"), words = at("pair-trials-words");
  svg.replaceChildren();
  svg.classList.toggle("empty", !found);
  at("pair-csv").disabled = !found;
  if (!found) {
    words.textContent = "Predicted, or not kept: no effects on single trials.";
    return;
  }
  const values = found.values.filter((value) => !Number.isNaN(value));
  let low = 0, high = 0;
  for (const value of values) { low = Math.min(low, value); high = Math.max(high, value); }
  if (!(high > low)) { words.textContent = "The same on all trials."; return; }
  const x = (value) => 20 + (440 * (value - low)) / (high - low);
  const add = (name, attributes, text) => svg.append(element(name, attributes, text));
  add("line", { class: "axis", x1: 20, x2: 460, y1: 112, y2: 112 });
  if (found.name === "quantile") {
    const [a, b, c, d, e] = values;
    add("line", { class: "median", x1: x(a), x2: x(e), y1: 70, y2: 70 });
    add("rect", { class: "row-bar", x: x(b), y: 50, width: Math.max(x(d) - x(b), 1), height: 40 });
    add("line", { class: "median", x1: x(c), x2: x(c), y1: 44, y2: 96 });
    words.textContent = "Change on single trials: 5, 25, 50, 75 and 95% quantiles.";
  } else {
    const bins = new Array(40).fill(0);
    values.forEach((value) => { bins[Math.min(39, Math.floor((40 * (value - low)) / (high - low)))] += 1; });
    const most = Math.max(...bins);
    bins.forEach((number, bin) => {
      const height = (98 * number) / most;
      add("rect", { class: "row-bar", x: 20 + 11 * bin, y: 112 - height, width: 10, height });
    });
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    add("line", { class: "median", x1: x(mean), x2: x(mean), y1: 8, y2: 118 });
    words.textContent = `Change on each of ${values.length} trials, a histogram; the line is their mean.`;
  }
  add("line", { class: "zero", x1: x(0), x2: x(0), y1: 112, y2: 120 });
  const apart = Math.min(x(0) - x(low), x(high) - x(0)) > 60;
  for (const value of apart || low === 0 || high === 0 ? new Set([low, 0, high]) : [low, high]) {
    const place = value === low ? "start" : value === high ? "end" : "mid";
    add("text", { class: `tick ${place}`, x: x(value), y: 138 }, shown(value, true));
  }
}

// The largest modulus over all gates, so that their colours compare.
function largestOf(gates, name) {
  let largest = 0;
  for (const { pairs } of Object.values(gates)) {
    pairs?.[name].forEach((value) => { if (Number.isFinite(value)) largest = Math.max(largest, Math.abs(value)); });
  }
  return largest || 1;
}

function setUpPairs({ schur, pairs, trials, ...data }, { sectors, gates }, at, atEigenvalues) {
  const size = schur.starts.length, count = pairs.to.length;
  const number = new Int32Array(size * size).fill(-1);
  for (let pair = 0; pair < count; pair++) number[pairs.to[pair] * size + pairs.from[pair]] = pair;
  let n_R = data.n_R;
  const coupling = (to, from) => {
    const [within_R, between, within_C, inside] = sectors;
    if (to === from) return inside;
    return schur.starts[from] < n_R ? within_R : schur.starts[to] < n_R ? between : within_C;
  };
  const isOf = (chosen, pair) => {
    const [name, place] = chosen.split(":");
    return pairs[name][pair] === Number(place);
  };

  // The table
  const table = at("table-pairs"), body = table.tBodies[0], rowOf = new Map();
  const columns = [...table.tHead.rows[0].cells].map((cell) => [cell.dataset.name, cell.classList.contains("n")]);
  const listed = (pair, place) => ({
    to_block: [pairs.to[pair]], from_block: [pairs.from[pair]],
    coupling: [coupling(pairs.to[pair], pairs.from[pair])],
    effect: [pairs.effect[pair], shown(pairs.effect[pair], true)],
    standard_error: [pairs.error[place], shown(pairs.error[place])],
    predicted: [pairs.predicted[place], shown(pairs.predicted[place], true)],
    mass: [pairs.mass[pair], shown(pairs.mass[pair])],
    exact: [Boolean(pairs.exact[pair]), pairs.exact[pair] ? "yes" : "no"],
    verdict: [pairs.kinds[pairs.kind[pair]]], removable: [pairs.states[pairs.state[pair]]],
  });
  const place_of = Object.fromEntries(columns.map(([name], place) => [name, place]));
  const fragment = document.createDocumentFragment();
  pairs.listed.forEach((pair, place) => {
    const row = document.createElement("tr"), values = listed(pair, place);
    columns.forEach(([name, numeric], column) => {
      const cell = document.createElement(column ? "td" : "th");
      if (!column) cell.scope = "row";
      const [value, text = String(value)] = values[name];
      cell.textContent = text;
      cell.dataset.v = Number.isNaN(value) ? "" : value;
      if (numeric) cell.className = "n";
      row.append(cell);
    });
    row.dataset.pair = pair;
    rowOf.set(pair, row);
    fragment.append(row);
  });
  body.replaceChildren(fragment);

  // The panel
  const key = (block) => shown(schur.keys[schur.starts[block]]);
  let current = -1;
  function choose(to, from, scroll = false) {
    const pair = number[to * size + from];
    rowOf.get(current)?.classList.remove("chosen");
    current = pair;
    const none = pair < 0;
    fill(at("table-pair"), {
      pair: `block ${from} to block ${to}`,
      coupling: none ? "none" : coupling(to, from),
      effect: none ? "–" : `${shown(pairs.effect[pair], true)}${pairs.exact[pair] ? "" : " (predicted)"}`,
      mass: none ? "–" : shown(pairs.mass[pair]),
      keys: `${key(to)} (to), ${key(from)} (from) of the largest`,
      kind: none ? "–" : pairs.kinds[pairs.kind[pair]],
      state: none ? "–" : pairs.states[pairs.state[pair]],
    });
    drawTrials(trialsOf(trials, pair), at);
    const row = rowOf.get(pair);
    row?.classList.add("chosen");
    if (scroll && row && !row.hidden) {
      const box = table.closest(".scroll");
      box.scrollTop = row.offsetTop - box.clientHeight / 2;
    }
    if (scroll) announce(row && !row.hidden ? "marked in the table" : "not in the table");
  }
  const map = new SquareMap(at("atlas"), size,
    (to, from) => { choose(to, from); atEigenvalues(to, from); }, (to, from) => choose(to, from, true));
  body.addEventListener("click", (event) => {
    const pair = Number(event.target.closest("tr").dataset.pair);
    map.select(pairs.to[pair], pairs.from[pair]);
  });

  at("pair-csv").addEventListener("click", () => {
    const { name, at, values } = trialsOf(trials, current);
    const rows = at.map((place, i) => [place, Number.isNaN(values[i]) ? "" : values[i]]);
    download(`pair-${pairs.to[current]}-${pairs.from[current]}`, [[name, "effect"], ...rows]);
  });

  // Colours and outlines
  function color() {
    const level = new Int16Array(size * size).fill(-1);
    const signed = at("map-color").value === "effect", values = signed ? pairs.effect : pairs.mass;
    const largest = largestOf(gates, signed ? "effect" : "mass");
    const scaled = (value) => Math.log10(1 + (100 * Math.min(Math.abs(value), largest)) / largest) / Math.log10(101);
    for (let pair = 0; pair < count; pair++) {
      const share = Number.isNaN(values[pair]) ? 1 : Math.sign(values[pair]) * scaled(values[pair]);
      level[pairs.to[pair] * size + pairs.from[pair]] = Math.round(signed ? 127.5 * (1 + share) : 255 * share);
    }
    map.show(level, signed ? SIGNED : PLAIN, [signed ? shown(-largest, true) : "0", shown(largest, signed)]);
  }
  at("map-color").addEventListener("change", color);
  at("map-class").addEventListener("change", ({ target: { value } }) => {
    map.outline((i, j) => value !== "" && number[i * size + j] >= 0 && isOf(value, number[i * size + j]));
  });
  color();

  // Filters
  const form = at("pair-filter");
  function filter() {
    const blocks = (at("filter-text").value.match(/\d+/g) || []).map(Number);
    const wanted = at("filter-coupling").value, chosen = at("filter-class").value;
    const least = Number(at("filter-effect").value) || 0;
    let left = 0;
    for (const [pair, row] of rowOf) {
      const ends = [pairs.to[pair], pairs.from[pair]];
      row.hidden = !(
        (blocks.length < 2 ? blocks.every((block) => ends.includes(block))
          : blocks[0] === ends[0] && blocks[1] === ends[1]) &&
        (!wanted || coupling(...ends) === wanted) && (!chosen || isOf(chosen, pair)) &&
        Math.abs(pairs.effect[pair]) >= least);
      left += row.hidden ? 0 : 1;
    }
    at("filter-count").textContent = `${left} of ${rowOf.size} rows`;
    markPaper(table);
  }
  for (const kind of ["input", "change"]) form.addEventListener(kind, filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  filter();

  const first = pairs.listed[0];
  if (first !== undefined) { map.at = [pairs.to[first], pairs.from[first]]; map.mark(...map.at); choose(...map.at); }
  return {
    map,
    choose(to, from) { map.at = [to, from]; map.mark(to, from); choose(to, from); },
    cut(cut_at) {
      n_R = cut_at;
      map.cut(schur.starts.filter((start) => start < n_R).length);
      for (const [pair, row] of rowOf) {
        const name = coupling(pairs.to[pair], pairs.from[pair]), cell = row.cells[place_of.coupling];
        if (cell.dataset.v !== name) { cell.dataset.v = name; cell.textContent = name; }
      }
      if (at("filter-coupling").value) filter();
      if (current >= 0) choose(pairs.to[current], pairs.from[current]);
    },
  };
}

function setUpTrajectories({ names, trial, outputs, targets }) {
  const figure = byId("trajectory-figure"), [, , steps, channels] = outputs.shape;
  const { left, right, top, row: height } =
    Object.fromEntries(Object.entries(figure.dataset).map(([name, value]) => [name, Number(value)]));
  const curve = (array, start, channel) =>
    Array.from({ length: steps }, (_, step) => array[(start * steps + step) * channels + channel]);
  const chosen = () => [Number(byId("trial").value), Number(byId("channel").value)];
  const curves = () => {
    const [place, channel] = chosen();
    return [curve(targets, place, channel),
      ...names.map((_, network) => curve(outputs, network * trial.length + place, channel))];
  };
  function draw() {
    const [target, ...rows] = curves();
    const known = [...target, ...rows[0]].filter(Number.isFinite);
    let low = Math.min(...known), high = Math.max(...known);
    const margin = 0.25 * (high - low || 1);
    low -= margin; high += margin;
    figure.querySelectorAll(".row").forEach((group, network) => {
      const base = top + height * (network + 1) - 5, room = height - 10;
      const path = (values) => {
        let pen = "M";
        return values.map((value, step) => {
          if (!Number.isFinite(value)) { pen = "M"; return ""; }
          const y = base - room * Math.min(Math.max((value - low) / (high - low), 0), 1);
          const point = `${pen}${(left + ((right - left) * step) / Math.max(steps - 1, 1)).toFixed(1)} ${y.toFixed(1)}`;
          pen = "L";
          return point;
        }).join("");
      };
      const [behind, front] = group.querySelectorAll("path");
      behind.setAttribute("d", path(target));
      front.setAttribute("d", path(rows[network]));
    });
    const [place, channel] = chosen();
    figure.setAttribute("aria-label",
      `Output channel ${channel} on trial ${trial[place]}: target, full network, and without ${names.slice(1).join(", ")}.`);
  }
  byId("trial").addEventListener("change", draw);
  byId("channel").addEventListener("change", draw);
  byId("trajectory-csv").addEventListener("click", () => {
    const all = curves(), [place, channel] = chosen();
    const heading = ["step", "target", ...names.map((name, network) => (network ? `without_${name}` : name))];
    const rows = all[0].map((_, step) => [step, ...all.map((values) => (Number.isNaN(values[step]) ? "" : values[step]))]);
    download(`trial-${trial[place]}-channel-${channel}`, [heading, ...rows]);
  });
}

// One gate is shown at a time, the same in all sections.
function setUpGates() {
  const choices = [...document.querySelectorAll("[data-choice]")], parts = document.querySelectorAll("[data-gate]");
  if (!choices.length) return;
  const show = (gate) => {
    choices.forEach((choice) => { choice.value = gate; });
    parts.forEach((part) => { part.hidden = part.dataset.gate !== gate; });
  };
  choices.forEach((choice) => choice.addEventListener("change", () => {
    const before = choice.getBoundingClientRect().top;
    show(choice.value);
    scrollBy({ top: choice.getBoundingClientRect().top - before, behavior: "instant" }); // it stays in its place
  }));
  show(choices[0].value);
}

async function start() {
  setUpTables();
  const data = await decoded(JSON.parse(byId("data").textContent));
  const maps = [];
  for (const [gate, own] of Object.entries(data.gates || {})) {
    const at = (name) => byId(gate ? `${name}-${gate}` : name);
    let pairs = null;
    const schur = setUpSchur(own.schur, own.N_h, at, (to, from) => pairs?.choose(to, from));
    maps.push(schur.map);
    schur.cut(own.n_R, data.alpha);
    if (own.pairs) {
      pairs = setUpPairs(own, data, at, schur.mark);
      maps.push(pairs.map);
      pairs.cut(own.n_R);
    }
    if (own.cuts) {
      const shared = { ...own, alpha: data.alpha, change: data.change };
      setUpCuts(own.cuts, shared, at, (n_R, alpha) => { schur.cut(n_R, alpha); pairs.cut(n_R); });
    }
  }
  setUpGates();
  if (data.trajectories) setUpTrajectories(data.trajectories);
  const redraw = (paper) => { onPaper = paper; maps.forEach((map) => map.draw()); };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw(false));
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    closed.forEach((details) => { details.open = true; });
    redraw(true);
  });
  addEventListener("afterprint", () => {
    closed.forEach((details) => { details.open = false; });
    redraw(false);
  });
  document.documentElement.dataset.ready = "";
}

start().catch((error) => announce(`This page cannot show its figures: ${error.message}`));
