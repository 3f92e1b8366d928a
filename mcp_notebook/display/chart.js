// The picture of a table: shapes that the kernel drew, made of elements of these names with plain attributes alone.
const SHAPES = ["path", "rect", "circle", "text"];
const PLACES = ["d", "x", "y", "width", "height", "rx", "cx", "cy", "r", "text-anchor"];

function shape([tag, at, look, text, tip]) {
  if (!SHAPES.includes(tag)) return "";
  const node = svg(tag, look, text);
  for (const [name, value] of Object.entries(at)) if (PLACES.includes(name)) node.setAttribute(name, value);
  if (tip) node.append(svg("title", "", tip));
  return node;
}

function svg(tag, name, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  if (name) node.setAttribute("class", name);
  if (text) node.textContent = text;
  return node;
}

function chart({ title, alt, size, shapes, code }) {
  const box = make("figure", "chart"), top = make("figcaption", "dim", title), image = svg("svg");
  image.setAttribute("viewBox", `0 0 ${size[0]} ${size[1]}`);
  image.setAttribute("role", "img");
  image.setAttribute("aria-label", alt);
  image.append(...shapes.map(shape));
  const copy = copier("copy as code", code, code);
  top.append(copy);
  box.append(top, image);
  return box;
}
