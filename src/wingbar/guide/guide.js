"use strict";
// Runs in the head: the theme is set before the page shows. Without this script everything but search and keys works.
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let kept = null;
  try { kept = localStorage.getItem("wingbar-theme"); } catch { /* no storage from disk: the system's choice holds */ }
  if (kept === "light" || kept === "dark") root.dataset.theme = kept;
  const isDark = () => (root.dataset.theme || (dark.matches ? "dark" : "light")) === "dark";

  function themeButton() {
    const button = document.getElementById("theme");
    const tell = () => { button.textContent = isDark() ? "Light" : "Dark"; };
    button.hidden = false;
    button.setAttribute("aria-label", "Switch between light and dark");
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      try { localStorage.setItem("wingbar-theme", root.dataset.theme); } catch { /* kept for this page only */ }
      tell();
    });
    dark.addEventListener("change", tell);
    tell();
  }

  // Behind `wingbar serve` or `wingbar review` the guide leads back to their page; from the disk there is none.
  async function linkToPage(link) {
    if (!location.protocol.startsWith("http")) return;
    const page = new URL("../", document.querySelector("a.home").href);
    try {
      const told = await (await fetch(new URL("healthz", page))).json();
      link.textContent = "Back to the page";
      link.href = page.href;
      link.hidden = told.status !== "ok";
    } catch { /* another server, which has no such page */ }
  }

  function search(form) {
    const query = document.getElementById("query");
    const list = document.getElementById("cards");
    const given = [...list.children];
    const words = given.map((card) => plain(card.querySelector(".words").textContent));
    const open = () => [...list.children].filter((card) => !card.hidden);
    form.hidden = false;

    function filter() {
      const asked = plain(query.value).split(/\s+/).filter(Boolean);
      given.forEach((card, i) => { card.hidden = !asked.every((word) => words[i].includes(word)); });
      const count = open().length;
      document.getElementById("found").textContent = asked.length ? `${count} of ${given.length}` : "";
    }
    query.addEventListener("input", filter);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const first = open()[0];
      if (first) first.querySelector("a").click();
    });
    query.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown" && open().length) { event.preventDefault(); focus(open()[0]); }
    });
    const order = document.getElementById("order");
    if (order) order.addEventListener("change", () => {
      const cards = [...given];
      if (order.value === "hard") cards.sort((a, b) => a.dataset.recall - b.dataset.recall);
      list.append(...cards);
    });
    list.addEventListener("keydown", (event) => {
      const cards = open();
      const here = cards.indexOf(event.target.closest("li"));
      const columns = cards.filter((card) => card.offsetTop === cards[0].offsetTop).length;
      const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
      if (here < 0 || !(event.key in steps) || modified(event)) return;
      event.preventDefault();
      const next = cards[here + steps[event.key]];
      if (next) focus(next); else if (event.key === "ArrowUp") query.focus();
    });
    filter();
    if (location.hash === "#query") query.focus();
  }

  const plain = (text) => text.normalize("NFKD").replace(/\p{Mn}/gu, "").toLowerCase().trim();
  const focus = (card) => card.querySelector("a").focus();
  const modified = (event) => event.ctrlKey || event.metaKey || event.altKey || event.shiftKey;

  function keys(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, select, textarea, .scroll, [contenteditable]")) return;
    if (event.key === "/") {
      event.preventDefault();
      const query = document.getElementById("query");
      if (query) { query.focus(); query.select(); } else location.href = document.querySelector(".home").href + "#query";
    }
    const rel = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
    const link = rel && !event.shiftKey && document.querySelector(`a[rel=${rel}]`);
    if (link) link.click();
  }

  document.addEventListener("DOMContentLoaded", () => {
    themeButton();
    linkToPage(document.getElementById("served"));
    const form = document.getElementById("search");
    if (form) search(form);
    document.addEventListener("keydown", keys);
  });
})();
