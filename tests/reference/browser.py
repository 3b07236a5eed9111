"""Pages in a real browser: headless Chromium, without a driver.

A script that works the page and notes what it shows is put into a copy of the page; what it noted
is read from the document that Chromium prints.
"""

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

#: Debian's name, and those of other systems.
CHROMIUM = next(
    filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None
)

WATCH = """<script>
window.problems = [];
window.addEventListener('error', (event) => problems.push(String(event.message)));
document.addEventListener(
  'securitypolicyviolation', (event) => problems.push('refused: ' + event.blockedURI));
for (const level of ['error', 'warn']) console[level] = (...what) => problems.push(what.join(' '));
</script>"""

WORK = """<script>
window.addEventListener('load', () => {
  const move = (id, value) => {
    const slider = document.getElementById(id);
    slider.value = value;
    slider.dispatchEvent(new Event('input', {bubbles: true}));
  };
  const read = (id) => document.getElementById(id).textContent;
  let noted;
  try { noted = (() => { %s })(); } catch (error) { problems.push(String(error)); }
  const out = document.createElement('pre');
  out.id = 'noted-by-the-test';
  out.textContent = JSON.stringify({noted, problems});
  document.body.append(out);
});
</script>"""


AXE = """<script>
window.addEventListener('load', async () => {
  const result = await axe.run(document, {resultTypes: ['violations']});
  const out = document.createElement('pre');
  out.id = 'noted-by-the-test';
  out.textContent = JSON.stringify({
    dark: matchMedia('(prefers-color-scheme: dark)').matches,
    passes: result.passes.length,
    violations: result.violations.flatMap((rule) => rule.nodes.map(
      (node) => `${rule.id}: ${rule.help}: ${node.html}: ${node.failureSummary}`)),
  });
  document.body.append(out);
});
</script>"""


def axe_core():
    """axe-core's file: what AXE_CORE names, or in a node_modules of this folder or above; or None.

    `npm install axe-core` brings it.
    """
    if 'AXE_CORE' in os.environ:
        return Path(os.environ['AXE_CORE'])
    folders = [Path(__file__).parent, *Path(__file__).parents]
    found = (folder / 'node_modules/axe-core/axe.min.js' for folder in folders)
    return next(filter(Path.is_file, found), None)


def violations(page, tmp_path, dark=False, width=1280):
    """What axe-core finds wrong with a page, as a list of texts; and how many rules it passes.

    Args:
        page: The page's file; what it loads has to lie beside it.
        tmp_path: An empty folder.
        dark: Show it as to people who ask for dark pages.
        width: Of the window, in pixels.
    """
    text = page.read_text(encoding='utf-8')
    script = f'<script>{axe_core().read_text(encoding="utf-8")}</script>{AXE}'
    copy = page.with_name(f'axe_{page.name}')
    copy.write_text(text.replace('</body>', script + '</body>'), encoding='utf-8')
    try:
        out, log = chromium(
            *('--dump-dom', '--virtual-time-budget=20000', f'--window-size={width},900'),
            f'--blink-settings=preferredColorScheme={0 if dark else 1}',
            copy.as_uri(),
            home=tmp_path / 'home',
        )
    finally:
        copy.unlink()
    found = re.search(r'<pre id="noted-by-the-test">(.*?)</pre>', out, re.DOTALL)
    assert found, out[-2000:] + log
    noted = json.loads(html.unescape(found[1]))
    assert noted['dark'] == dark
    return noted['violations'], noted['passes']


def chromium(*arguments, home):
    """Run Chromium on a page and return what it printed on both streams."""
    done = subprocess.run(
        [
            *(
                CHROMIUM,
                '--headless=new',
                '--no-sandbox',
                '--disable-gpu',
                '--disable-dev-shm-usage',
            ),
            *('--enable-logging=stderr', '--disable-background-networking', '--no-first-run'),
            *(f'--user-data-dir={home}', *arguments),
        ],
        capture_output=True,
        text=True,
        timeout=180,
        env={**os.environ, 'HOME': str(home)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def work_page(page, script, tmp_path):
    """Open a page, run a script in it, and return what the script returned.

    Args:
        page: The page's HTML.
        script: Body of a function; `move(id, value)` moves a slider, `read(id)` gives a text.
        tmp_path: An empty folder.
    """
    path = tmp_path / 'worked.html'
    watched = page.replace('<meta charset="utf-8">', '<meta charset="utf-8">' + WATCH, 1)
    path.write_text(watched.replace('</body>', WORK % script + '</body>'), encoding='utf-8')
    out, log = chromium('--dump-dom', path.as_uri(), home=tmp_path / 'home')
    found = re.search(r'<pre id="noted-by-the-test">(.*?)</pre>', out, re.DOTALL)
    assert found, out[-2000:] + log
    result = json.loads(html.unescape(found[1]))
    assert result['problems'] == []
    assert 'CONSOLE' not in log, log
    return result['noted']
