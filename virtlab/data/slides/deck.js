// Turn the pages of a deck: one slide at a time, scaled to the window; #s12 names the twelfth.
(() => {
  const slides = [...document.querySelectorAll('.slide')];
  const body = document.body, root = document.documentElement;
  const wide = 1280, high = 720;
  const button = name => document.getElementById(name);
  let current = 0;

  function fit() {
    const speaking = body.classList.contains('speaking');
    const room = innerHeight * (speaking ? 0.66 : 1);
    const scale = Math.min(innerWidth / wide, room / high);
    root.style.setProperty('--scale', scale);
    root.style.setProperty('--left', `${(innerWidth - wide * scale) / 2}px`);
    root.style.setProperty('--top', `${(room - high * scale) / 2}px`);
  }

  function show(number, focus) {
    current = Math.max(0, Math.min(slides.length - 1, number));
    slides.forEach((slide, index) => { slide.hidden = index !== current; });
    button('previous').disabled = current === 0;
    button('next').disabled = current === slides.length - 1;
    button('where').textContent = `Slide ${current + 1} of ${slides.length}`;
    history.replaceState(null, '', `#s${current + 1}`);
    if (focus) slides[current].focus({preventScroll: true});
  }

  function notes() {
    const on = body.classList.toggle('speaking');
    button('notes').setAttribute('aria-pressed', on);
    fit();
  }

  const asked = () => (Number(location.hash.slice(2)) || 1) - 1;
  const keys = {
    ArrowRight: 1, ArrowDown: 1, PageDown: 1, ArrowLeft: -1, ArrowUp: -1, PageUp: -1,
    Home: -slides.length, End: slides.length,
  };
  addEventListener('keydown', event => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const pressing = event.target.closest('button, a');
    if (event.key === 'n' || event.key === 'N') notes();
    else if (event.key === ' ' && !pressing) show(current + (event.shiftKey ? -1 : 1), true);
    else if (event.key in keys) show(current + keys[event.key], true);
    else return;
    event.preventDefault();
  });
  button('previous').addEventListener('click', () => show(current - 1));
  button('next').addEventListener('click', () => show(current + 1));
  button('notes').addEventListener('click', notes);
  addEventListener('resize', fit);
  addEventListener('hashchange', () => show(asked(), true));

  body.classList.add('live');
  document.querySelector('nav').hidden = false;
  fit();
  show(asked());
})();
