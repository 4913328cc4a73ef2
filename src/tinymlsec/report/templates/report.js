"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("scripted");

  // theme: automatic, light or dark; remembered where the browser allows it
  const themes = ["auto", "light", "dark"];
  const themeButton = document.getElementById("theme");
  const remembered = () => { try { return localStorage.getItem("tinymlsec-theme"); } catch { return null; } };
  const remember = (theme) => { try { localStorage.setItem("tinymlsec-theme", theme); } catch { /* not allowed here */ } };
  const setTheme = (theme) => {
    if (theme === "auto") delete root.dataset.theme; else root.dataset.theme = theme;
    themeButton.textContent = "Theme: " + theme;
  };
  let theme = themes.includes(remembered()) ? remembered() : "auto";
  setTheme(theme);
  themeButton.addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    setTheme(theme);
    remember(theme);
  });

  // following a link to a threat opens its detail and moves the keyboard there
  const open = (hash, focus) => {
    const target = hash.length > 1 ? document.getElementById(decodeURIComponent(hash.slice(1))) : null;
    if (!target) return;
    for (let node = target; node; node = node.parentElement) {
      if (node.localName === "details") { node.open = true; node.hidden = false; }
    }
    if (focus && target.localName === "details") {
      target.scrollIntoView();
      target.querySelector("summary").focus({ preventScroll: true });
    }
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]');
    if (link) setTimeout(() => open(link.hash, true));
  });
  addEventListener("hashchange", () => open(location.hash, true));
  open(location.hash, true);

  // filter, expand and collapse
  const threats = [...document.querySelectorAll("details.threat")];
  const search = document.getElementById("search");
  const count = document.getElementById("shown");
  const toggles = [...document.querySelectorAll("button[data-outcome]")];
  const filter = () => {
    const wanted = toggles.filter((b) => b.getAttribute("aria-pressed") === "true").map((b) => b.dataset.outcome);
    const text = search.value.trim().toLowerCase();
    let shown = 0;
    for (const threat of threats) {
      const fits = (!wanted.length || wanted.includes(threat.dataset.outcome)) &&
        (!text || threat.textContent.toLowerCase().includes(text));
      threat.hidden = !fits;
      shown += fits ? 1 : 0;
    }
    count.textContent = shown + " of " + threats.length + " threats shown";
  };
  for (const button of toggles) {
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
      filter();
    });
  }
  search.addEventListener("input", filter);
  document.getElementById("expand").addEventListener("click", () => { for (const t of threats) t.open = true; });
  document.getElementById("collapse").addEventListener("click", () => { for (const t of threats) t.open = false; });
  filter();

  // paper has no folds
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const node of closed) node.open = true;
  });
  addEventListener("afterprint", () => { for (const node of closed) node.open = false; });
})();
