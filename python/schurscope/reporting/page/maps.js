// Arrays out of the page's data, and matrices as maps.

const ARRAYS = { u1: Uint8Array, i2: Int16Array, i4: Int32Array, f4: Float32Array };

async function unpacked({ packed, data }) {
  const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const planes = new Uint8Array(await new Response(stream).arrayBuffer());
  const kind = ARRAYS[packed], size = kind.BYTES_PER_ELEMENT, count = planes.length / size;
  const found = new Uint8Array(planes.length);
  for (let byte = 0; byte < size; byte++) {
    for (let i = 0; i < count; i++) found[i * size + byte] = planes[byte * count + i];
  }
  return new kind(found.buffer);
}

async function decoded(value) {
  if (Array.isArray(value) || value === null || typeof value !== "object") return value;
  if ("packed" in value) return Object.assign(await unpacked(value), { shape: value.shape });
  const parts = await Promise.all(Object.values(value).map(decoded));
  return Object.fromEntries(Object.keys(value).map((name, place) => [name, parts[place]]));
}

const NS = "http://www.w3.org/2000/svg";
function element(name, attributes, text = "") {
  const made = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

let onPaper = false; // paper has the root's colours, the screen those of the body

function palette(names) {
  const style = getComputedStyle(onPaper ? document.documentElement : document.body);
  const anchors = names.map((name) => {
    const hex = style.getPropertyValue(name).trim();
    return [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16));
  });
  const colors = new Uint8ClampedArray(4 * 256).fill(255); // red, green, blue, opacity
  for (let level = 0; level < 256; level++) {
    const place = (level / 255) * (anchors.length - 1);
    const first = Math.min(Math.floor(place), anchors.length - 2), part = place - first;
    anchors[first].forEach((value, c) => {
      colors[4 * level + c] = value + part * (anchors[first + 1][c] - value);
    });
  }
  return new Uint32Array(colors.buffer);
}

const SIGNED = ["--cold", "--cool", "--zero", "--warm", "--hot"], PLAIN = ["--map-low", "--map-high"];

// A square matrix with one pixel for each entry. Levels from 0 to 255; −1 is nothing.
class SquareMap {
  constructor(root, size, choose, enter = () => {}) {
    this.root = root;
    this.size = size;
    this.choose = choose;
    this.canvas = root.querySelector("canvas");
    this.canvas.width = this.canvas.height = size;
    this.overlay = root.querySelector(".overlay");
    this.overlay.setAttribute("viewBox", `0 0 ${size} ${size}`);
    this.overlay.setAttribute("preserveAspectRatio", "none");
    this.paths = {};
    for (const name of ["class", "cut", "chosen", "chosen inner"]) {
      this.paths[name] = element("path", { class: name });
      this.overlay.append(this.paths[name]);
    }
    this.at = [0, 0];
    const stage = root.querySelector(".stage");
    const entry = (event) => {
      const box = this.canvas.getBoundingClientRect();
      const place = (position, low, extent) =>
        Math.min(size - 1, Math.max(0, Math.floor(((position - low) / extent) * size)));
      return [place(event.clientY, box.top, box.height), place(event.clientX, box.left, box.width)];
    };
    stage.addEventListener("pointermove", (event) => this.select(...entry(event)));
    stage.addEventListener("click", (event) => { this.select(...entry(event)); enter(...this.at); });
    stage.addEventListener("focus", () => this.select(...this.at));
    stage.addEventListener("keydown", (event) => {
      const step = event.shiftKey ? 10 : 1;
      const moves = { ArrowUp: [-step, 0], ArrowDown: [step, 0], ArrowLeft: [0, -step], ArrowRight: [0, step] };
      const keep = (value) => Math.min(size - 1, Math.max(0, value));
      if (event.key === "Enter") enter(...this.at);
      else if (event.key === "Home") this.select(0, 0);
      else if (event.key in moves) this.select(...this.at.map((value, axis) => keep(value + moves[event.key][axis])));
      else return;
      event.preventDefault();
    });
  }

  select(row, column) {
    this.at = [row, column];
    this.mark(row, column);
    this.choose(row, column);
  }

  mark(row, column) {
    const path = `M${column} ${row}h1v1h-1z`;
    this.paths["chosen"].setAttribute("d", path);
    this.paths["chosen inner"].setAttribute("d", path);
  }

  // The row and column of one index, without choosing an entry.
  cross(index, width) {
    const path = `M${index} ${index}H${this.size}v${width}H${index}z M${index} 0h${width}V${index + width}H${index}z`;
    this.paths["chosen"].setAttribute("d", path);
    this.paths["chosen inner"].setAttribute("d", path);
  }

  cut(place) {
    const inside = place > 0 && place < this.size;
    this.paths.cut.setAttribute("d", inside ? `M${place} 0V${place}H${this.size}` : "");
  }

  outline(member) {
    const size = this.size, path = [];
    const has = (i, j) => i >= 0 && j >= 0 && i < size && j < size && member(i, j);
    for (let i = 0; i < size; i++) {
      for (let j = i; j < size; j++) {
        if (!member(i, j)) continue;
        if (!has(i - 1, j)) path.push(`M${j} ${i}h1`);
        if (!has(i + 1, j)) path.push(`M${j} ${i + 1}h1`);
        if (!has(i, j - 1)) path.push(`M${j} ${i}v1`);
        if (!has(i, j + 1)) path.push(`M${j + 1} ${i}v1`);
      }
    }
    this.paths.class.setAttribute("d", path.join(""));
  }

  show(level, colors, [low, high]) {
    Object.assign(this, { level, colors, ends: [low, high] });
    this.draw();
  }

  draw() {
    const colors = palette(this.colors), size = this.size;
    const paint = (canvas, width, height, level) => {
      const image = new ImageData(width, height), pixels = new Uint32Array(image.data.buffer);
      for (let i = 0; i < pixels.length; i++) pixels[i] = level(i) < 0 ? 0 : colors[level(i)];
      canvas.getContext("2d").putImageData(image, 0, 0);
    };
    paint(this.canvas, size, size, (i) => this.level[i]);
    paint(this.root.querySelector(".colorbar canvas"), 256, 1, (i) => i);
    const [low, high] = this.root.querySelectorAll(".colorbar span");
    [low.textContent, high.textContent] = this.ends;
  }
}
