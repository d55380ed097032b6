// While a server is updated, the page may come from one copy of it and the files that it names, which have the hash of
// their content in their names, be asked of another, which does not have them. Then the page is loaded again, a few times.
(() => {
  const KEY = 'sentinel-files-missed';
  const MOST = 3;
  const PAUSE_MS = 1500;
  let waiting = false;
  window.addEventListener('error', (event) => {
    const of = event.target;
    const needed = of && (of.tagName === 'SCRIPT' || (of.tagName === 'LINK' && of.rel === 'stylesheet'));
    if (!needed || waiting) return;
    let times;
    try {
      times = Number(sessionStorage.getItem(KEY));
      sessionStorage.setItem(KEY, String(times + 1));
    } catch {
      // Nothing could keep it from being loaded again for ever.
      return;
    }
    if (times >= MOST) return;
    waiting = true;
    setTimeout(() => location.reload(), times * PAUSE_MS);
  }, true);
  window.addEventListener('load', () => {
    // All files came: the next update counts anew.
    if (!waiting && document.querySelector('#app > *')) sessionStorage.removeItem(KEY);
  });
})();
