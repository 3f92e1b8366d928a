// What the parts of a card share. Everything shown comes from outside: it is put on the page as text nodes only.
const make = (tag, name, text) => {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text != null) node.textContent = text;
  return node;
};
const button = (name, text, label) => {
  const node = make("button", name, text);
  node.type = "button";
  if (label) node.title = node.ariaLabel = label;
  return node;
};

// A button with a text that it copies; where no clipboard may be written, the text is selected.
function copier(name, text, what) {
  const press = button("copy", name, what), mark = make("span", "dim mark");
  press.append(mark);
  press.onclick = async () => {
    try { await navigator.clipboard.writeText(text); } catch { getSelection().selectAllChildren(press); }
    mark.textContent = "copied";
    setTimeout(() => { mark.textContent = ""; }, 1200);
  };
  return press;
}

// The picture of a table, which the kernel drew, with the code that draws it again.
function chart({ title, alt, url, size, code }) {
  const box = make("figure", "chart"), image = make("img");
  Object.assign(image, { src: url, alt, width: size[0] });
  box.append(captioned(title, code), image);
  return box;
}

function captioned(title, code) {
  const top = make("figcaption", "dim", title);
  if (code) top.append(copier("copy as code", code, "Copy as Altair code"));
  return top;
}
