// What the browser tests ask of a JupyterLab page: one lesson after the other is opened in it. Put
// into the page before anything else runs, and before hands.js and access.js, which add to it.
(() => {
  const WIDGET = 'application/vnd.jupyter.widget-view+json';
  const messages = [];      // what the kernel said went wrong outside of a cell's run
  const asked = new Set();  // requests that the kernel is not yet done with
  let ran = false, panel = null, answered = () => {};

  const app = () => window.jupyterapp;
  const notebook = () => panel;   // the lesson that is open
  const plain = text => (text ?? '').replace(/[\u200b\s]+/g, ' ').trim();
  const within = (seconds, what, promise) => Promise.race([promise, new Promise((_, reject) =>
    setTimeout(() => reject(new Error(`${what}: not within ${seconds} s`)), 1000 * seconds))]);
  const kernel = () => notebook().context.sessionContext.session.kernel;
  const frame = () => new Promise(done => requestAnimationFrame(() => setTimeout(done)));

  function count(_, {msg, direction}) {
    if (direction === 'send' && msg.channel === 'shell') asked.add(msg.header.msg_id);
  }

  // Signalled when all that belongs to the message is done in the page.
  function listen(_, message) {
    const parent = message.parent_header?.msg_type;
    const type = message.header.msg_type, content = message.content;
    if (type === 'status' && content.execution_state === 'idle') {
      asked.delete(message.parent_header.msg_id);
      answered();
    }
    if (parent === 'execute_request') return;
    if (type === 'error') messages.push(`${content.ename}: ${content.evalue}`);
    if (type === 'stream' && content.name === 'stderr') {
      // JupyterLab asks a fresh kernel for its widgets before the lesson has imported ipywidgets.
      const early = /^No such comm\b/;
      for (const line of content.text.trim().split('\n'))
        if (ran || !early.test(line)) messages.push(line);
    }
  }

  async function open(path) {
    messages.splice(0);
    asked.clear();
    virtlab.forget();
    ran = false;
    panel = await app().commands.execute('docmanager:open', {path, factory: 'Notebook'});
    await panel.context.ready;
    await panel.context.sessionContext.ready;
    while (app().shell.currentWidget !== panel) {
      app().shell.activateById(panel.id);
      await frame();
    }
    kernel().anyMessage.connect(count);
    kernel().iopubMessage.connect(listen);
    if (app().shell.leftCollapsed === false) app().shell.collapseLeft();
  }

  // The lesson goes with its kernel; the page stays for the next one.
  async function close() {
    if (!panel || panel.isDisposed) return;
    await panel.context.sessionContext.shutdown();
    panel.dispose();
  }

  async function run() {
    await app().commands.execute('notebook:clear-all-cell-outputs');
    await app().commands.execute('notebook:run-all-cells');
    await settle();
    ran = true;
  }

  // The kernel is done with all that it was asked. An answer may lead to the next request: a widget
  // keeps back what changes while the kernel is busy.
  async function quiet() {
    do {
      while (asked.size) await new Promise(done => { answered = done; });
      await new Promise(done => setTimeout(done));
    } while (asked.size);
  }

  // So is what the kernel does unasked: a request after that is answered after it.
  async function settle() {
    for (let i = 0; i < 2; i++) {
      await frame();
      await kernel().requestKernelInfo();
      await quiet();
    }
    await frame();
  }

  function shows(node) {
    const box = node.getBoundingClientRect();
    if (box.width < 4 || box.height < 4) return false;
    const pictures = [...node.querySelectorAll('svg')].filter(svg => !svg.closest('button'));
    const drawn = svg => svg.childElementCount && svg.getBoundingClientRect().height > 1;
    if (pictures.some(svg => svg.checkVisibility() && !drawn(svg))) return false;
    if ([...node.querySelectorAll('img')].some(img => !img.naturalWidth)) return false;
    return plain(node.innerText) !== '' || pictures.length > 0
      || node.querySelector('img, canvas, input, select, button, [role=slider]') !== null;
  }

  function problems() {
    const found = [];
    notebook().content.widgets.forEach((cell, index) => {
      if (cell.model.type !== 'code') return;
      const shared = cell.model.sharedModel, name = `cell ${index + 1}`;
      const children = [...cell.outputArea.node.children]
        .filter(child => child.classList.contains('jp-OutputArea-child'))
        .map(child => child.querySelector('.jp-OutputArea-output'));
      const outputs = shared.getOutputs();
      const tags = shared.getMetadata('tags') ?? [];
      const wanted = tags.includes('raises-exception');
      if (shared.getSource().trim() && shared.execution_count === null)
        found.push(`${name}: was not run`);
      if (wanted && !outputs.some(output => output.output_type === 'error'))
        found.push(`${name}: should raise an exception, and did not`);
      outputs.forEach((output, k) => {
        if (output.output_type === 'error' && !wanted)
          found.push(`${name}: ${output.ename}: ${output.evalue}`);
        if (output.name === 'stderr')
          found.push(`${name}: on stderr: ${[output.text].flat().join('').trim()}`);
        if (output.data?.[WIDGET] && !(children[k] && shows(children[k])))
          found.push(`${name}: a blank widget`);
      });
      found.push(...virtlab.wordless(cell.outputArea.node).map(line => `${name}: ${line}`));
      const text = cell.outputArea.node.innerText;
      if (/Error displaying widget|Loading widget|model not found/.test(text))
        found.push(`${name}: a widget that does not load: ${plain(text).slice(0, 200)}`);
    });
    return found;
  }

  const cells = () => notebook().node.querySelector('.jp-WindowedPanel-outer');

  window.virtlab = {
    within, open, close, run, quiet, settle, problems,
    notebook, messages, plain, frame, cells,
    loaded: () => Boolean(app()?.restored),
    theme: async theme => {
      await app().commands.execute('apputils:change-theme', {theme});
      while (document.body.dataset.jpThemeName !== theme) await frame();
    },
    started: () => app().restored.then(() => true),
    complaints: () => messages.splice(0),
    height: () => {     // of the cells, without the empty space that JupyterLab leaves below them
      const last = notebook().content.widgets.at(-1).node.getBoundingClientRect();
      const top = cells().getBoundingClientRect().top;
      return Math.ceil(last.bottom - top + cells().scrollTop) + 20;
    },
    scroll: top => { cells().scrollTop = top; },
  };
})();
