// The console: sign in, then drop zone, stage and library, wired together.

import '@fontsource-variable/geist/wght.css';
import '@fontsource-variable/geist-mono/wght.css';
import './styles/tokens.css';
import './styles/base.css';
import './styles/page.css';
import './styles/stage.css';
import './styles/player.css';
import './styles/library.css';
import { Api, Problem } from './api.ts';
import { address, type App } from './app.ts';
import { Departures } from './departures.ts';
import { button, h } from './dom.ts';
import { Dropzone } from './dropzone.ts';
import { Library } from './library.ts';
import { forgetKey, setKey, takeKey } from './session.ts';
import { signIn } from './signin.ts';
import { Stage } from './stage.ts';
import { Store } from './store.ts';
import { startTheme, toggleTheme } from './theme.ts';
import { complain, mountToasts } from './toast.ts';
import { Uploads } from './uploads.ts';

const main = document.querySelector('main') ?? document.body;
const tools = document.querySelector('#tools') ?? document.body;
const theme = button('Light or dark', toggleTheme, { icon: 'theme', bare: true });

// A link with a key, followed in a tab that is open already.
window.addEventListener('hashchange', () => location.hash.startsWith('#key=') && location.reload());
startTheme();
mountToasts(document.body);
start();

function start(): void {
  tools.replaceChildren(theme);
  const key = takeKey();
  if (key) open(key);
  else ask('');
}

function ask(reason: string): void {
  signIn(main, reason, (key) => {
    setKey(key);
    open(key);
  });
}

/** Opens the console with a key, until the person signs out or the key is refused. */
function open(key: string): void {
  const api = new Api(key);
  const store = new Store();
  const closing = new AbortController();
  const { signal } = closing;
  let stage: Stage | undefined;
  const uploads = new Uploads(api, store, {
    created: (media) => {
      // The first of several files takes the stage; the others show in the library.
      if (!stage) location.hash = address(media.id);
    },
    refused: (file, problem) => complain(problem, file.name),
    waiting: (count) => dropzone.waiting(count),
  });
  const app: App = { api, store, uploads, departures: new Departures() };
  const dropzone = new Dropzone((files, pipeline) => uploads.add(files, pipeline));
  const library = new Library(app);
  const stageSlot = h('div', { class: 'stage-slot' });

  const close = (reason: string) => {
    closing.abort();
    stage?.destroy();
    library.stop();
    forgetKey();
    history.replaceState(null, '', location.pathname);
    tools.replaceChildren(theme);
    ask(reason);
  };
  api.onUnauthorized = (problem) => !signal.aborted && close(`${problem.title}.`);
  library.onCount = (count) => dropzone.compact(count > 0);

  const show = async () => {
    const id = decodeURIComponent(/^#\/(.+)$/.exec(location.hash)?.[1] ?? '');
    library.select(id || undefined);
    stage?.destroy();
    stage = undefined;
    if (!id) return;
    if (!store.get(id)) {
      try {
        store.put(await api.get(id));
      } catch (error) {
        complain(Problem.from(error), id);
        location.hash = '';
        return;
      }
    }
    if (signal.aborted || location.hash !== address(id)) return;
    stage = new Stage(app, id, () => (location.hash = ''));
    stageSlot.replaceChildren(stage.element);
    stage.focus();
    window.scrollTo({ top: 0, behavior: 'smooth' });
  };
  window.addEventListener('hashchange', () => void show(), { signal });
  window.addEventListener('beforeunload', (event) => uploads.busy && event.preventDefault(), { signal });
  store.subscribe(({ id, media }) => {
    if (!media && location.hash === address(id)) location.hash = '';
  });

  dropzone.listen(signal);
  main.replaceChildren(stageSlot, dropzone.element, library.element);
  tools.replaceChildren(theme, button('Sign out', () => close(''), { icon: 'exit', bare: true }));
  void library.show();
  void show();
  void showHealth(api, signal);
}

/** Says in the header what encodes here. */
async function showHealth(api: Api, signal: AbortSignal): Promise<void> {
  try {
    const { status, version, handler } = await api.health();
    if (signal.aborted) return;
    const label = handler?.encoder ?? (status === 'ok' ? 'Online' : status);
    tools.prepend(
      h('span', { class: 'health', 'data-status': status, title: `Reelmill ${version}` }, h('i'), label),
    );
  } catch {
    // The header does without; whatever is really wrong will show where it hurts.
  }
}
