// What the browser tests ask of a JupyterLab page. Put into every page before anything else runs.
(() => {
  const WIDGET = 'application/vnd.jupyter.widget-view+json';
  const CONTROLS = [
    'button', '[role=slider]', 'select', 'input', 'textarea', 'summary',
    '.jupyter-widget-tab [role=tab]', '.jupyter-widget-Collapse-header',
  ].join(',');
  const messages = [];      // what the kernel said went wrong outside of a cell's run
  let ran = false;

  const notebook = () => window.jupyterapp.shell.currentWidget;
  const plain = text => (text ?? '').replace(/[\u200b\s]+/g, ' ').trim();
  const within = (seconds, what, promise) => Promise.race([promise, new Promise((_, reject) =>
    setTimeout(() => reject(new Error(`${what}: not within ${seconds} s`)), 1000 * seconds))]);
  const kernel = () => notebook().context.sessionContext.session.kernel;
  const frame = () => new Promise(done => requestAnimationFrame(() => setTimeout(done)));

  function listen(_, message) {
    const parent = message.parent_header?.msg_type;
    const type = message.header.msg_type, content = message.content;
    if (parent === 'execute_request') return;
    if (type === 'error') messages.push(`${content.ename}: ${content.evalue}`);
    if (type === 'stream' && content.name === 'stderr') {
      // JupyterLab asks a fresh kernel for its widgets before the lesson has imported ipywidgets.
      const early = /^No such comm\b/;
      for (const line of content.text.trim().split('\n'))
        if (ran || !early.test(line)) messages.push(line);
    }
  }

  async function open() {
    await notebook().context.ready;
    await notebook().context.sessionContext.ready;
    kernel().iopubMessage.connect(listen);
    if (window.jupyterapp.shell.leftCollapsed === false) window.jupyterapp.shell.collapseLeft();
  }

  async function run() {
    await window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs');
    await window.jupyterapp.commands.execute('notebook:run-all-cells');
    await settle();
    ran = true;
  }

  // A request after ours is answered after ours: when its answer is here, so is the effect.
  async function settle() {
    for (let i = 0; i < 2; i++) {
      await frame();
      await kernel().requestKernelInfo();
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
      const text = cell.outputArea.node.innerText;
      if (/Error displaying widget|Loading widget|model not found/.test(text))
        found.push(`${name}: a widget that does not load: ${plain(text).slice(0, 200)}`);
    });
    return found;
  }

  // As a person or a screen reader would name it. ipywidgets leaves two kinds of control without a
  // name of their own: a slider's handle is named by the label in front, Play's buttons by icons.
  function nameOf(node) {
    const said = plain(node.getAttribute('aria-label'))
      || plain([...(node.getAttribute('aria-labelledby') ?? '').split(' ')]
        .map(id => id && document.getElementById(id)?.textContent).join(' '))
      || plain([...(node.labels ?? [])].map(label => label.innerText).join(' '))
      || (/^(BUTTON|SUMMARY|LI|DIV)$/.test(node.tagName) && plain(node.innerText))
      || plain(node.title === 'null' ? '' : node.title);
    const group = node.closest('.widget-inline-hbox, .widget-radio, .widget-toggle-buttons');
    const label = plain(group?.querySelector(':scope > .widget-label')?.innerText);
    if (group?.classList.contains('widget-play')) {
      const icon = node.querySelector('i')?.className.match(/fa-(\w+)/)?.[1];
      return said || `Play ${{retweet: 'repeat'}[icon] ?? icon}`;
    }
    const one = node.type === 'radio' || node.classList.contains('widget-toggle-button');
    return one && label && said ? `${label}: ${said}` : said || label;
  }

  function kindOf(node) {
    const role = node.getAttribute('role');
    if (role === 'slider' || node.type === 'range') return 'slider';
    if (role === 'tab') return 'tab';
    if (node.tagName === 'SELECT') return 'select';
    if (node.tagName === 'TEXTAREA' || /^(text|search)$/.test(node.type)) return 'text';
    if (node.tagName === 'INPUT' && !/^(checkbox|radio|button)$/.test(node.type)) return node.type;
    return node.tagName === 'INPUT' ? node.type : 'button';
  }

  // Every control of every widget that can be seen, and a mark by which it can be found again.
  function controls() {
    const found = [], count = {};
    notebook().content.widgets.forEach((cell, index) => {
      if (cell.model.type !== 'code') return;
      const nodes = cell.outputArea.node.querySelectorAll(
        '.jp-OutputArea-output :is(' + CONTROLS + ')');
      for (const node of nodes) {
        if (!node.checkVisibility({visibilityProperty: true}) || node.type === 'hidden') continue;
        const name = nameOf(node), kind = kindOf(node), same = `${index}|${kind}|${name}`;
        count[same] = (count[same] ?? 0) + 1;
        const key = `${same}|${count[same]}`;
        node.dataset.virtlabControl = key;
        found.push({key, name, kind, cell: index + 1,
          disabled: node.disabled === true || node.getAttribute('aria-disabled') === 'true',
          options: node.tagName === 'SELECT' ? node.options.length : 0});
      }
    });
    return found;
  }

  const panel = () => document.querySelector('.jp-NotebookPanel:not(.lm-mod-hidden) '
    + '.jp-WindowedPanel-outer');

  window.virtlab = {
    within, open, run, settle, problems, controls,
    opened: () => Boolean(window.jupyterapp?.shell?.currentWidget?.context?.sessionContext),
    complaints: () => messages.splice(0),
    height: () => {     // of the cells, without the empty space that JupyterLab leaves below them
      const last = notebook().content.widgets.at(-1).node.getBoundingClientRect();
      const top = panel().getBoundingClientRect().top;
      return Math.ceil(last.bottom - top + panel().scrollTop) + 20;
    },
    scroll: top => { panel().scrollTop = top; },
  };
})();
