// What the theme adds to a page while it is shown. The bars with a button for copying beside blocks of code all have one
// name, but landmarks need names of their own; and tables that scroll sideways cannot be reached by keyboard.
let named = 0;
new MutationObserver(() => {
  document.querySelectorAll('.md-code__nav:not([aria-label])').forEach((bar) => {
    named += 1;
    bar.setAttribute('aria-label', `block of code ${named}`);
  });
  document.querySelectorAll('.md-typeset__scrollwrap:not([tabindex])').forEach((table) => {
    table.tabIndex = 0;
  });
}).observe(document.documentElement, {childList: true, subtree: true});
