// What a lesson owes a reader who does not see its pictures, or does not see their colours.
(() => {
  const {notebook, plain, cells} = window.virtlab;

  // Pictures that say nothing to a reader who does not see them.
  function wordless(node) {
    const found = [];
    for (const svg of node.querySelectorAll('.vl-picture svg'))
      if (svg.getAttribute('role') !== 'img' || !plain(svg.getAttribute('aria-label')))
        found.push('a picture without an alternative');
    for (const widget of node.querySelectorAll('.vl-widget:has(.vl-picture)'))
      if (![...widget.querySelectorAll('.vl-says')].some(says => plain(says.innerText)))
        found.push('a widget that does not say what its picture shows');
    return found;
  }

  // Each picture of a cell, without its words for a screen reader, as it is and without colours.
  function looks(cell) {
    return [...cell.outputArea.node.querySelectorAll('.vl-picture svg')].map(svg => {
      const copy = svg.cloneNode(true), html = () => copy.outerHTML;
      copy.removeAttribute('aria-label');
      copy.querySelector('title')?.remove();
      const seen = html();
      for (const part of copy.querySelectorAll('*'))
        for (const name of ['fill', 'stroke'])
          if (![null, 'none'].includes(part.getAttribute(name))) part.setAttribute(name, 'grey');
      return {seen, grey: html()};
    });
  }

  // -- what axe finds, in what the course itself shows: outputs of cells, and prose

  async function audit(impacts) {
    const within = ['.jp-OutputArea', '.jp-RenderedMarkdown'].map(part => `#${notebook().id} ${part}`);
    const include = within.filter(part => document.querySelector(part));
    const seen = await unrolled(
      () => axe.run({include}, {resultTypes: ['violations'], elementRef: true}));
    const bad = seen.violations.filter(rule => impacts.includes(rule.impact));
    return bad.flatMap(rule => rule.nodes.map(node => {
      const cell = node.element?.closest('.jp-Cell');
      const number = notebook().content.widgets.findIndex(each => each.node === cell) + 1;
      const why = plain(node.failureSummary).slice(0, 240), html = plain(node.html).slice(0, 120);
      return `cell ${number}: ${rule.id} (${rule.impact}): ${why}: ${html}`;
    }));
  }

  // axe leaves out what is scrolled away. So for this time nothing cuts the cells off, and they bring
  // the notebook's ground along.
  async function unrolled(act) {
    const around = [], inside = cells().querySelector('.jp-WindowedPanel-viewport');
    inside.style.background = 'var(--jp-layout-color0)';
    for (let node = cells(); node; node = node.parentElement) around.push(node);
    for (const node of around) node.style.setProperty('overflow', 'visible', 'important');
    try {
      return await act();
    } finally {
      for (const node of around) node.style.removeProperty('overflow');
      inside.style.background = '';
    }
  }

  Object.assign(window.virtlab, {wordless, looks, audit});
})();
