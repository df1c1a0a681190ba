// Tables: copied, downloaded as CSV, sorted. Text is only ever set as text.

const byId = (name) => document.getElementById(name);

let silence = 0;
function announce(text) {
  const status = document.querySelector(".status");
  status.textContent = text;
  clearTimeout(silence);
  silence = setTimeout(() => { status.textContent = ""; }, 4000);
}

// The exact numbers of a table, with a column for each end of an interval.
function tableRows(table) {
  const columns = [...table.tHead.rows[0].cells];
  const heading = columns.flatMap(({ dataset: { name, interval } }) =>
    interval === undefined ? [name] : [name, `${name}_low`, `${name}_high`]);
  const rows = [...table.tBodies[0].rows].filter((row) => !row.hidden).map((row) =>
    [...row.cells].flatMap((cell, place) => {
      const { v = cell.textContent, low = "", high = "" } = cell.dataset;
      return columns[place].dataset.interval === undefined ? [v] : [v, low, high];
    }));
  return [heading, ...rows];
}

// Spreadsheets run text that begins like a formula; numbers stay as they are.
function plainField(value) {
  const text = String(value);
  return /^[=+\-@\t\r]/.test(text) && !Number.isFinite(Number(text)) ? `'${text}` : text;
}

function asCsv(rows) {
  const field = (value) => {
    const text = plainField(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => row.map(field).join(",") + "\r\n").join("");
}

function download(name, rows) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([asCsv(rows)], { type: "text/csv" }));
  link.download = `${name}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  announce(`${name}.csv: ${rows.length - 1} rows`);
}

async function copy(rows) {
  const text = rows.map((row) => row.map(plainField).join("\t")).join("\n");
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  announce(`copied ${rows.length - 1} rows`);
}

// The first rows that are shown also go on paper.
function markPaper(table) {
  let left = 30;
  for (const row of table.tBodies[0].rows) {
    row.classList.toggle("paper", !row.hidden && left > 0);
    left -= row.hidden ? 0 : 1;
  }
}

function sortBy(table, column) {
  const headings = [...table.tHead.rows[0].cells];
  const heading = headings[column];
  const numeric = heading.classList.contains("n");
  const was = heading.getAttribute("aria-sort");
  const descending = was ? was === "ascending" : numeric;
  headings.forEach((cell) => cell.removeAttribute("aria-sort"));
  heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const keyed = [...table.tBodies[0].rows].map((row) => {
    const value = row.cells[column].dataset.v;
    return [numeric ? (value === "" ? NaN : Number(value)) : value, row];
  });
  const sign = descending ? -1 : 1;
  keyed.sort(([a], [b]) => {
    if (numeric) { // what is missing comes last
      if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
      return sign * (a - b);
    }
    return sign * a.localeCompare(b, undefined, { numeric: true });
  });
  table.tBodies[0].append(...keyed.map(([, row]) => row));
  markPaper(table);
}

function setUpTables() {
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", () => copy(tableRows(byId(`table-${button.dataset.copy}`))));
  }
  for (const button of document.querySelectorAll("[data-csv]")) {
    const name = button.dataset.csv;
    button.addEventListener("click", () => download(name, tableRows(byId(`table-${name}`))));
  }
  for (const table of document.querySelectorAll("[data-sortable]")) {
    [...table.tHead.rows[0].cells].forEach((cell, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = cell.textContent;
      button.addEventListener("click", () => sortBy(table, column));
      cell.replaceChildren(button);
    });
    markPaper(table);
  }
}

function shown(value, signed = false, digits = 3) {
  if (value === null || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  let text = "0";
  if (size > 0 && (size < 1e-4 || size >= 1e5)) text = size.toExponential(digits - 1).replace("e+", "e");
  else if (size > 0) text = size.toFixed(Math.max(0, digits - 1 - Math.floor(Math.log10(size))));
  return (value < 0 ? "−" : signed && value > 0 ? "+" : "") + text;
}

function fill(table, values) {
  for (const [name, value] of Object.entries(values)) {
    table.querySelector(`[data-field="${name}"]`).textContent = value;
  }
}
