// A finished card stays in the notebook as plain HTML. While its kernel lives that HTML is replaced on the page, and on
// the page alone, by the live card: what is saved reads whole anywhere, and what is looked at can be sorted.
const SIGN = "mcpn-card";
const alive = (globalThis[Symbol.for("mcp_notebook.cards")] ??= new Map()); // place -> what wakes the HTML there

function wakeIn(node) {
  if (node.nodeType !== Node.ELEMENT_NODE) return;
  const found = node.classList.contains(SIGN) ? [node] : [...node.getElementsByClassName(SIGN)];
  for (const card of found) for (const name of card.classList) alive.get(name)?.(card);
}

function watch() {
  if (alive.watcher) return;
  alive.watcher = new MutationObserver((changes) => {
    for (const { addedNodes } of changes) addedNodes.forEach(wakeIn);
  });
  alive.watcher.observe(document.body, { childList: true, subtree: true });
}

function stayAwake(model, draw) {
  const place = model.get("call").place, views = new Map();
  const wake = (plain) => {
    const host = make("div"), el = make("div"), sheet = new CSSStyleSheet();
    sheet.replaceSync(model.get("_css")); // styles of the page's HTML stay out, the theme's variables come in
    const root = host.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [sheet];
    root.append(el);
    views.set(host, [plain, draw({ model, el })]);
    plain.replaceWith(host);
  };
  alive.set(place, wake);
  watch();
  [...document.getElementsByClassName(place)].forEach(wake);
  return () => {
    alive.delete(place);
    for (const [host, [plain, end]] of views) {
      end();
      host.replaceWith(plain);
    }
  };
}
