// The console: sign in, then drop zone, stage and library, wired together.

import '@fontsource-variable/geist/wght.css';
import '@fontsource-variable/geist-mono/wght.css';
import './styles/tokens.css';
import './styles/base.css';
import './styles/page.css';
import './styles/stage.css';
import './styles/player.css';
import './styles/uploads.css';
import './styles/library.css';
import { Api, Problem } from './api.ts';
import { address, type App } from './app.ts';
import { Departures } from './departures.ts';
import { confirm } from './dialog.ts';
import { button, h } from './dom.ts';
import { Dropzone } from './dropzone.ts';
import { Library } from './library.ts';
import { Records } from './records.ts';
import { forgetKey, setKey, takeKey } from './session.ts';
import { signIn } from './signin.ts';
import { Stage } from './stage.ts';
import { Store } from './store.ts';
import { startTheme, toggleTheme } from './theme.ts';
import { complain, mountToasts } from './toast.ts';
import type { Media } from './types.ts';
import { UploadList } from './upload-list.ts';
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
  const uploadList = new UploadList(() => app);
  // The first of several files takes the stage; the others show in the library.
  const created = (media: Media) => {
    if (!stage && !location.hash) location.hash = address(media.id);
  };
  const uploads = new Uploads(
    {
      api,
      store,
      records: new Records(),
      sender: async () => (await import('./transfer.ts')).transfer,
      online: () => navigator.onLine,
    },
    { created, changed: (key, item) => uploadList.update(key, item) },
  );
  const app: App = { api, store, uploads, departures: new Departures() };
  const dropzone = new Dropzone({
    files: (picked, pipeline) => uploads.add(picked, pipeline),
    url: async (url, pipeline) => {
      const settings = Object.keys(pipeline).length > 0 && { pipeline };
      const media = await api.create({ source: { url }, ...settings }, crypto.randomUUID());
      store.put(media);
      created(media);
    },
  });
  const library = new Library(app);
  const stageSlot = h('div', { class: 'stage-slot' });

  const close = (reason: string, forget = false) => {
    closing.abort();
    void uploads.close(forget);
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
  window.addEventListener('beforeunload', (event) => uploads.wouldAsk && event.preventDefault(), { signal });
  window.addEventListener('online', () => uploads.network(true), { signal });
  window.addEventListener('offline', () => uploads.network(false), { signal });
  store.subscribe(({ id, media }) => {
    if (!media && location.hash === address(id)) location.hash = '';
  });

  dropzone.listen(signal);
  main.replaceChildren(stageSlot, dropzone.element, uploadList.element, library.element);
  const signOut = async () => {
    const detail = 'They stop, and this browser forgets the files.';
    const free = uploads.list().length === 0 || (await confirm('Sign out in mid-upload?', detail, 'Sign out'));
    if (free) close('', true);
  };
  tools.replaceChildren(theme, button('Sign out', () => void signOut(), { icon: 'exit', bare: true }));
  void uploads.restore();
  void library.show();
  void show();
  void showHealth(api, signal);
  void showLimits(api, uploads, dropzone);
}

/** Says how large a file may be, before anybody tries. */
async function showLimits(api: Api, uploads: Uploads, dropzone: Dropzone): Promise<void> {
  try {
    const { maxUploadBytes } = await api.limits();
    uploads.maxBytes = maxUploadBytes;
    dropzone.limit(maxUploadBytes);
  } catch {
    // Then the gateway says so when a file is too large.
  }
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
