// Puts a block of code of an answer into a new cell below, unrun. The buttons stand on the page alone, as long as the
// kernel lives: what is saved is the answer. Where the front end lets nobody insert a cell there are none.
const offered = (globalThis[Symbol.for("mcp_notebook.code")] ??= new Map()); // a cell's id -> what looks at a block
const LOOK = "display:block;font-size:var(--jp-ui-font-size0,11px);color:var(--jp-content-link-color,#1976d2);" +
  "background:none;border:0;padding:0;margin:-0.8em 0 0.8em 3em;cursor:pointer;user-select:none";

function notebookOf(model) {
  try {
    const notebook = model.widget_manager.context.model.sharedModel; // JupyterLab, Notebook 7
    return typeof notebook.insertCell === "function" ? notebook : null;
  } catch { return null; }
}

function lookIn(node) {
  if (node.nodeType !== Node.ELEMENT_NODE) return;
  const blocks = node.matches("pre") ? [node] : [...node.querySelectorAll("pre")];
  for (const block of blocks) if (block.closest(".jp-OutputArea-output.jp-RenderedMarkdown, .jp-OutputArea .jp-RenderedMarkdown"))
    for (const look of offered.values()) if (look(block)) break;
}

function watchCode() {
  if (offered.watcher) return;
  offered.watcher = new MutationObserver((changes) => {
    for (const { addedNodes } of changes) addedNodes.forEach(lookIn);
  });
  offered.watcher.observe(document.body, { childList: true, subtree: true });
}

function initialize({ model }) {
  const notebook = notebookOf(model);
  if (!notebook) return;
  const cell = model.get("cell"), sources = new Map(model.get("blocks")), made = new Set();
  const insert = (source) => {
    const at = notebook.cells.findIndex((one) => (one.id ?? one.getId()) === cell);
    if (at < 0) return false;
    notebook.insertCell(at + 1, { cell_type: "code", source, metadata: {} });
    return true;
  };
  const look = (block) => {
    const source = sources.get((block.querySelector("code") ?? block).textContent.trim());
    if (source === undefined) return false;
    if (block.nextElementSibling?.className === "mcpn-code") block.nextElementSibling.remove(); // of an older run
    const press = button("mcpn-code", "copy as cell", "Put this code into a new cell below; it does not run");
    press.style.cssText = LOOK;
    press.onclick = () => {
      press.textContent = insert(source) ? "in the cell below" : "its cell is gone";
      setTimeout(() => { press.textContent = "copy as cell"; }, 1500);
    };
    block.after(press);
    made.add(press);
    return true;
  };
  offered.set(cell, look);
  watchCode();
  lookIn(document.body);
  return () => {
    if (offered.get(cell) === look) offered.delete(cell);
    for (const press of made) press.remove();
  };
}

export default { initialize, render() {} };
