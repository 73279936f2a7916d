// The hands of the browser tests: find every control of a lesson, name it, and press it.
//
// What a person's hand would do, without the ways between a test and its browser: a control must be
// in the window with nothing over it, it gets the focus, and the events that a browser would send.
// A trusted key or click differs in nothing that a widget sees. Keys alone: test_access.py.
(() => {
  const CONTROLS = [
    'button', '[role=slider]', 'select', 'input', 'textarea', 'summary',
    '.jupyter-widget-tab [role=tab]', '.jupyter-widget-Collapse-header',
  ].join(',');
  const {within, notebook, messages, plain, quiet, settle} = window.virtlab;
  const tried = new Set();  // keys of the controls that were pressed
  const found = new Map();  // the controls of the lesson, by their keys

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

  // Every control of every widget that can be seen, and a key by which it can be found again.
  const controls = () => notebook().content.widgets.flatMap(controlsOf);

  function controlsOf(cell, index) {
    if (cell.model.type !== 'code') return [];
    const list = [], count = {};
    const nodes = cell.outputArea.node.querySelectorAll(
      '.jp-OutputArea-output :is(' + CONTROLS + ')');
    for (const node of nodes) {
      if (!node.checkVisibility({visibilityProperty: true}) || node.type === 'hidden') continue;
      const name = nameOf(node), kind = kindOf(node), same = `${index}|${kind}|${name}`;
      count[same] = (count[same] ?? 0) + 1;
      const key = `${same}|${count[same]}`;
      found.set(key, node);
      list.push({key, name, kind, cell: index + 1,
        disabled: node.disabled === true || node.getAttribute('aria-disabled') === 'true'});
    }
    return list;
  }

  // The next control to press: of the same cell as the last, else the first of the lesson that can
  // be pressed. None if all that remain could never be pressed.
  async function next(last) {
    const ready = list => list.find(control => !control.disabled && !tried.has(control.key));
    const near = last && ready(controlsOf(notebook().content.widgets[last - 1], last - 1));
    if (near) return near;
    await settle();
    return ready(controls());
  }

  // Null, or what is in the way of the pointer.
  function covered(node) {
    node.scrollIntoViewIfNeeded();
    const box = node.getBoundingClientRect();
    const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
    if (!top) return 'it cannot be scrolled into view';
    if (node.contains(top) || top.closest('label')?.control === node) return null;
    return `it is covered by ${top.cloneNode().outerHTML.slice(0, 120)}`;
  }

  function send(node, Kind, types, more) {
    for (const type of types)
      node.dispatchEvent(new Kind(type, {bubbles: true, cancelable: true, view: window, ...more}));
  }

  function click(node) {
    const box = node.getBoundingClientRect();
    const at = {clientX: box.x + box.width / 2, clientY: box.y + box.height / 2};
    send(node, PointerEvent, ['pointerdown'], at);
    send(node, MouseEvent, ['mousedown'], at);
    send(node, PointerEvent, ['pointerup'], at);
    send(node, MouseEvent, ['mouseup', 'click'], at);
  }

  function changed(node) {
    node.dispatchEvent(new Event('input', {bubbles: true}));
    node.dispatchEvent(new Event('change', {bubbles: true}));
  }

  // What is done to one kind of control, step by step; the kernel is waited for after each.
  const HANDS = {
    slider: node => ['End', 'ArrowLeft', 'Home', 'ArrowRight'].map(key =>
      () => send(node, KeyboardEvent, ['keydown', 'keyup'], {key})),
    select: (node, few) => choices(node.options.length, few).map(index =>
      () => { node.selectedIndex = index; changed(node); }),
    number: node => [() => node.stepUp(), () => node.stepDown(), () => node.stepUp()].map(step =>
      () => { step(); changed(node); }),
    text: node => ['no such thing', node.value].map(text => () => {
      node.value = text;
      changed(node);
      send(node, KeyboardEvent, ['keydown', 'keypress', 'keyup'], {key: 'Enter', keyCode: 13});
    }),
  };

  // The options of a list to take: the second, the last, and back to the first; of a longer look
  // the first dozen too. The widget's own tests look at every option.
  function choices(options, few) {
    const some = few ? [1] : Array.from({length: 11}, (_, i) => i + 1);
    const apart = [...new Set([...some, options - 1])];
    return [...apart.filter(index => 0 < index && index < options), 0];
  }

  async function press(control, few) {
    const node = found.get(control.key), blocked = covered(node);
    if (blocked) throw new Error(blocked);
    node.focus();
    for (const step of HANDS[control.kind]?.(node, few) ?? [() => click(node)]) {
      step();
      await quiet();
    }
  }

  const where = control => `cell ${control.cell}: ${control.kind} '${control.name}'`;

  // Press every control once, also those that only appear or become enabled on the way.
  async function pressAll(seconds, most, few) {
    const said = [];
    let last = '', cell = 0, pressed = 0;
    const hear = () => said.push(...messages.splice(0).map(line => `${last}: ${line}`));
    try {
      for (; pressed < most; pressed++) {
        const control = await within(seconds, 'next', next(cell));
        hear();
        if (!control) break;
        tried.add(control.key);
        cell = control.cell;
        last = where(control);
        if (!control.name) said.push(`${last}: a control without a name`);
        const shown = notebook().content.widgets[cell - 1], before = virtlab.looks(shown);
        await within(seconds, 'press', press(control, few));
        virtlab.looks(shown).forEach(({seen, grey}, k) => {
          if (before[k] && before[k].seen !== seen && before[k].grey === grey)
            said.push(`${last}: a picture changes in colour only`);
        });
      }
    } catch (error) {
      return {said: [...said, `${last}: cannot be pressed: ${error.message}`], pressed};
    }
    if (pressed === most) said.push(`more than ${most} controls to press`);
    for (const control of controls())
      if (!tried.has(control.key) && pressed < most) said.push(`${where(control)}: never enabled`);
    return {said, pressed};
  }

  // What has the focus, by its name.
  const focused = () => nameOf(document.activeElement);

  function forget() {
    tried.clear();
    found.clear();
  }

  Object.assign(window.virtlab, {pressAll, focused, forget});
})();
