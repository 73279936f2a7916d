// An extension of JupyterLab: words for pictures, keys for widgets, enough contrast.
//
//   image/svg+xml   <svg role="img" aria-label="what it shows">   ->  <img alt="what it shows">
//   image/png       metadata {"image/png": {"alt": "..."}}        ->  <img alt="...">
//   arrows, Enter, Space on a control of a .vl-widget             ->  the control's, not Lab's
//   links in prose, colours of a traceback                        ->  a line below, dark enough
//   a picture, an answer, in a narrow window, as at 200 % zoom    ->  all of it
//
// The idea: JupyterLab shows an SVG as an <img> without an alternative, and so hides the label that
// the SVG has. A screen reader then says "image", and no more. Here the label is handed on. Where an
// output's metadata has words under "alt", as nbconvert reads them too, those are taken.
//
// With the focus on a control of a widget, JupyterLab still takes an arrow as "the next cell": a
// list or a group of radio buttons then cannot be used by keyboard. Here these keys stay where the
// focus is. The radio buttons of a question become one group, as ipywidgets does not make them one.
//
// The rule that keeps it simple: JupyterLab draws as always. This only adds what is missing. The
// file is what JupyterLab loads: nothing has to be built. It stands in for the container that module
// federation makes: `init` is handed the modules that all extensions share, `get` gives ours.
(() => {
  const TYPES = ['image/svg+xml', 'image/png'];
  const KEYS = ['ArrowUp', 'ArrowDown', 'ArrowLeft', 'ArrowRight', 'Enter', ' '];
  // Links that are not told by colour alone, and a traceback with 4.5 : 1 on its ground (WCAG 1.4).
  // A picture shrinks as those of the widgets do (`show.palette.NARROWEST`), and then it scrolls.
  // The words of a radio button go on in the next line, where they would be cut off.
  const STYLE = `
    .jp-RenderedSVG > img { max-width: max(100%, 560px); height: auto; }
    .vl-widget .widget-radio-box label {
      height: auto; line-height: 1.5; padding-left: 22px; position: relative; white-space: normal; }
    .vl-widget .widget-radio-box label > input {
      height: 1.5em; left: 0; margin: 0; position: absolute; top: 0; }
    .jp-RenderedHTMLCommon :is(p, li, td) a[href], .jp-RenderedText a {
      text-decoration: underline !important; }
    [data-jp-theme-light="true"] .jp-OutputArea-output[data-mime-type$="stderr"] {
      background: transparent; border-left: 4px solid #b3261e; }
    [data-jp-theme-light="true"] .jp-RenderedText pre {
      .ansi-red-fg { color: #b3261e; }
      .ansi-green-fg { color: #00692b; }
      .ansi-yellow-fg { color: #7a5c00; }
      .ansi-blue-fg { color: #1a5fb4; }
      .ansi-magenta-fg { color: #9c27b0; }
      .ansi-cyan-fg { color: #00676b; }
      [style*="color:rgb("] { color: #1b2330 !important; }
    }`;
  let shared = {}, groups = 0;

  // -- words for pictures

  function words(model, type) {
    const said = model.metadata[type]?.alt;
    if (said || type !== 'image/svg+xml') return said ?? '';
    const source = [model.data[type]].flat().join('');
    const drawn = new DOMParser().parseFromString(source, type).documentElement;
    return drawn.getAttribute('aria-label') ?? '';
  }

  // A renderer that JupyterLab has made, and that also says what it has drawn.
  function speaking(renderer, type) {
    const draw = renderer.renderModel.bind(renderer);
    renderer.renderModel = async model => {
      await draw(model);
      const said = words(model, type), image = renderer.node.querySelector('img');
      if (said && image) image.alt ||= said;
    };
    return renderer;
  }

  // -- keys for widgets

  // JupyterLab leaves a key alone where the element with the focus has this attribute.
  function keepKey(event) {
    if (!event.target.closest?.('.vl-widget')) return;
    const plain = !event.ctrlKey && !event.altKey && !event.metaKey && !event.shiftKey;
    event.target.toggleAttribute('data-lm-suppress-shortcuts', plain && KEYS.includes(event.key));
  }

  function group(event) {
    if (event.target.type !== 'radio' || event.target.name) return;
    const box = event.target.closest('.vl-widget .widget-radio-box');
    if (!box) return;
    groups += 1;
    for (const radio of box.querySelectorAll('input')) radio.name = `vl-group-${groups}`;
  }

  // -- what JupyterLab loads

  function activate(app, registry) {
    document.head.append(Object.assign(document.createElement('style'), {textContent: STYLE}));
    window.addEventListener('keydown', keepKey, true);
    window.addEventListener('focusin', group, true);
    for (const type of TYPES) {
      const usual = registry.getFactory(type);
      if (!usual) continue;
      const createRenderer = options => speaking(usual.createRenderer(options), type);
      registry.addFactory({...usual, mimeTypes: [type], createRenderer});
    }
  }

  async function plugin() {
    const [rendermime] = Object.values(shared['@jupyterlab/rendermime']);
    const {IRenderMimeRegistry} = (await rendermime.get())();
    const requires = [IRenderMimeRegistry];
    const found = {id: 'virtlab-accessible:plugin', autoStart: true, requires, activate};
    return () => ({__esModule: true, default: found});
  }

  window._JUPYTERLAB = window._JUPYTERLAB ?? {};
  window._JUPYTERLAB['virtlab-accessible'] = {
    init: scope => { shared = scope; },
    get: plugin,
  };
})();
