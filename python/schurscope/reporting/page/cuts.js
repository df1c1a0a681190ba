// The line of α: a cut is one of those that were computed.

function setUpCuts(cuts, data, at, changed) {
  const figure = at("cut-figure"), slider = at("cut-slider"), panel = at("table-cut");
  const { left, right, n, top, bottom, high } =
    Object.fromEntries(Object.entries(figure.dataset).map(([name, value]) => [name, Number(value)]));
  const across = (k) => left + ((right - left) * k) / n;
  const cursor = figure.querySelector(".cursor"), level = figure.querySelector(".level");
  const home = cuts.k.indexOf(data.n_R);
  const interval = (low, high) => (low === null ? "–" : `${shown(low, true)} … ${shown(high, true)}`);

  function alphas(place) {
    const low = cuts.alpha_low[place], high = cuts.alpha_high[place];
    if (high <= Math.max(low, 0)) return "no α makes it";
    return `${shown(Math.max(low, 0))} < α ≤ ${shown(high)}`;
  }

  function move(place) {
    const k = cuts.k[place], change = cuts.change[place], mass = cuts.mass[place];
    slider.value = place;
    cursor.setAttribute("transform", `translate(${across(k).toFixed(1)} 0)`);
    // α itself lies anywhere in the gap: the line is drawn in its middle, or where the diagnosis has it.
    const middle = place === home ? data.alpha : (cuts.alpha_low[place] + cuts.alpha_high[place]) / 2;
    const height = bottom - ((bottom - top) * Math.min(Math.max(middle, 0), high)) / high;
    level.setAttribute("transform", `translate(0 ${height.toFixed(1)})`);
    const remarks = [];
    if (cuts.tied[place]) remarks.push("divides near-tied eigenvalues");
    if (!cuts.determined[place]) remarks.push("not determined: rounding of the weights decides it");
    fill(panel, {
      n_R: `${k} of ${n}`,
      alpha: alphas(place),
      change: shown(change, true),
      interval: interval(cuts.low[place], cuts.high[place]),
      mass: shown(mass),
      sensitivity: mass > 0 && change !== null ? shown(change / mass) : "–",
      gap: shown(cuts.gap[place]),
      remarks: remarks.join("; ") || "none",
    });
    slider.setAttribute("aria-valuetext",
      `${k} dimensions in R, ${alphas(place)}, ${data.change} ${shown(change, true)}`);
    changed(k, middle);
  }

  // The α of the diagnosis may leave no eigenvalue in C: that is no cut.
  function reset() {
    if (home >= 0) { move(home); return; }
    slider.value = cuts.k.length - 1;
    slider.setAttribute("aria-valuetext", `${n} dimensions in R, none in C`);
    cursor.setAttribute("transform", `translate(${across(n).toFixed(1)} 0)`);
    const height = bottom - ((bottom - top) * data.alpha) / high;
    level.setAttribute("transform", `translate(0 ${height.toFixed(1)})`);
    fill(panel, {
      n_R: `${n} of ${n}`, alpha: `${data.alpha}`, change: "–", interval: "–", mass: "–",
      sensitivity: "–", gap: "–", remarks: "no eigenvalue in C",
    });
    changed(n, data.alpha);
  }

  function nearest(event) {
    const box = figure.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * figure.viewBox.baseVal.width;
    const k = ((x - left) / (right - left)) * n;
    let best = 0;
    cuts.k.forEach((value, place) => { if (Math.abs(value - k) < Math.abs(cuts.k[best] - k)) best = place; });
    return best;
  }

  cursor.addEventListener("pointerdown", (event) => {
    cursor.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  cursor.addEventListener("pointermove", (event) => {
    if (cursor.hasPointerCapture(event.pointerId)) move(nearest(event));
  });
  slider.addEventListener("input", () => move(Number(slider.value)));
  at("cut-reset").addEventListener("click", reset);
  figure.classList.add("ready");
  reset();
}
