// Whoever is led into something folded, by a link, by the address or by the search, finds it open.
function reveal(node) { for (; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true; }

function follow() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (const child of target.children) if (child.matches("details.maintainers")) child.open = true;
  reveal(target);
  target.scrollIntoView();
}

addEventListener("hashchange", follow);
addEventListener("click", event => { if (event.target.closest && event.target.closest('a[href*="#"]')) setTimeout(follow); });
addEventListener("load", () => { follow(); setTimeout(() => document.querySelectorAll(".highlighted").forEach(reveal), 200); }); // Sphinx marks words a little later
