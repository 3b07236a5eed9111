// The theme puts a bar with a button for copying beside each block of code, all of one name: landmarks need names of their own.
let named = 0;
new MutationObserver(() => {
  document.querySelectorAll('.md-code__nav:not([aria-label])').forEach((bar) => {
    named += 1;
    bar.setAttribute('aria-label', `block of code ${named}`);
  });
}).observe(document.documentElement, {childList: true, subtree: true});
