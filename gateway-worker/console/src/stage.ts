// One media, large: its progress or its player, its waveform, what can be done with it.

import { Problem } from './api.ts';
import { cancel, remove, retry, type App } from './app.ts';
import { Deliveries } from './deliveries.ts';
import { button, h, set, text } from './dom.ts';
import { follow } from './events.ts';
import { factsView } from './facts.ts';
import { clock, percent } from './format.ts';
import type { Player } from './player.ts';
import { Screen } from './screen.ts';
import { SignedLink } from './signed-link.ts';
import { canRetry, isActive, title, view } from './state.ts';
import { announce } from './toast.ts';
import type { Media, Playback } from './types.ts';
import type { Waveform } from './waveform.ts';

export class Stage {
  readonly element: HTMLElement;
  #screen: Screen;
  #player: Player | undefined;
  #waveform: Waveform | undefined;
  /** What the player was made for: an attempt, and whether it was complete by then. */
  #playing: { attempt: number; complete: boolean } | undefined;
  #frame = h('div', { class: 'frame' });
  #ribbon = h('p', { class: 'ribbon', hidden: true });
  #view = h('div', { class: 'stage-view' });
  #title = h('h2', { id: 'stage-title', tabindex: -1 });
  #badge = h('span', { class: 'badge' });
  /** Goes on showing the progress while the player has the screen. */
  #bar = h('div', { class: 'bar', 'aria-hidden': 'true' }, h('i'));
  #note = h('p', { class: 'panel-note' });
  #facts = h('div');
  #link: SignedLink;
  #retry: HTMLButtonElement;
  #cancel: HTMLButtonElement;
  #deliveries: Deliveries;
  #stop: (() => void)[] = [];
  #lastLabel = '';

  constructor(
    private readonly app: App,
    private readonly id: string,
    onClose: () => void,
  ) {
    const withMedia = (action: (app: App, media: Media) => Promise<void>) => () => {
      const media = app.store.get(id);
      if (media) void action(app, media);
    };
    this.#screen = new Screen({
      retry: withMedia(retry),
      sendAgain: () => {
        const upload = app.uploads.of(id);
        if (upload) app.uploads.resume(upload.key);
      },
    });
    const departing = app.departures.signal(id);
    this.#link = new SignedLink(app.api, id, departing);
    this.#deliveries = new Deliveries(app.api, id, departing);
    this.#retry = button('Retry', withMedia(retry), { icon: 'retry' });
    this.#cancel = button('Cancel', withMedia(cancel), { icon: 'stop' });
    this.#frame.append(this.#screen.element, this.#ribbon);
    this.#view.append(this.#frame);
    this.element = h(
      'section',
      { class: 'stage', 'aria-labelledby': 'stage-title' },
      this.#view,
      h(
        'div',
        { class: 'panel' },
        h(
          'header',
          {},
          h('div', {}, this.#badge, this.#title),
          button('Close', onClose, { icon: 'close', bare: true }),
        ),
        h('div', { class: 'panel-progress' }, this.#bar, this.#note),
        this.#link.element,
        h(
          'div',
          { class: 'actions' },
          this.#retry,
          this.#cancel,
          button('Delete', withMedia(remove), { icon: 'trash', kind: 'danger' }),
        ),
        this.#facts,
        this.#deliveries.element,
      ),
    );
    const file = app.uploads.file(id);
    if (file) this.#screen.preview(file);
    this.#stop.push(app.store.subscribe((change) => change.id === id && this.#update()));
    const { store } = app;
    const live = follow(app.api, id, {
      media: (media) => store.put(media),
      progress: (progress) => store.progress(progress),
      gone: () => store.remove(id),
      connected: (connected) => this.element.classList.toggle('offline', !connected),
    });
    this.#stop.push(() => live.stop());
    const leave = () => {
      this.destroy();
      onClose();
    };
    departing.addEventListener('abort', leave);
    this.#stop.push(() => departing.removeEventListener('abort', leave));
    this.#update();
  }

  focus(): void {
    this.#title.focus({ preventScroll: true });
  }

  destroy(): void {
    for (const stop of this.#stop) stop();
    document.title = 'Reelmill';
    this.#dropPlayer();
    this.#screen.destroy();
    this.element.remove();
  }

  #update(): void {
    const media = this.app.store.get(this.id);
    if (!media) return;
    const upload = this.app.store.upload(this.id);
    const { label, tone, percent: share, note } = view(media, upload);
    text(this.#title, title(media));
    text(this.#badge, label);
    set(this.#badge, { 'data-tone': tone });
    this.#bar.classList.toggle('unmeasured', share === undefined);
    this.#bar.style.setProperty('--share', `${share ?? 0}%`);
    text(this.#note, [share === undefined ? '' : percent(share), note].filter(Boolean).join(' · '));
    set(this.#note.parentElement ?? this.#note, {
      hidden: tone !== 'busy' || !this.#player,
    });
    document.title = `${share === undefined ? '' : `${percent(share)} · `}${title(media)} – Reelmill`;
    if (label !== this.#lastLabel) {
      if (this.#lastLabel) announce(`${title(media)}: ${label}`);
      this.#lastLabel = label;
      void this.#deliveries.load();
    }
    this.#facts.replaceChildren(...factsView(media));
    this.#retry.hidden = !canRetry(media);
    this.#cancel.hidden = !isActive(media) || (media.status === 'uploading' && !upload && media.sourceUrl === undefined);
    this.#screen.update(media, upload);
    void this.#play(media);
  }

  /** Brings the player to where the media is: none, live, or complete. */
  async #play(media: Media): Promise<void> {
    const complete = media.status === 'ready';
    if (!media.playable && !complete) return this.#dropPlayer();
    if (this.#playing?.attempt === media.attempts && (this.#playing.complete || !complete)) return;
    if (this.#playing?.attempt !== media.attempts) this.#dropPlayer();
    this.#playing = { attempt: media.attempts, complete };
    try {
      const playback = await this.#link.fetch();
      // The player is large and needed only now; the page shows at once without it.
      const { Player } = await import('./player.ts');
      if (this.#playing?.attempt !== media.attempts) return;
      this.#link.show(playback);
      if (!this.#player) this.#startPlayer(Player, playback);
      if (complete) await this.#finish(media, playback);
    } catch (error) {
      // The next sign of life tries again.
      this.#playing = undefined;
      this.#say(Problem.from(error).message);
    }
  }

  #startPlayer(type: typeof Player, playback: Playback): void {
    const player = new type({
      kind: (audioOnly) => this.#frame.classList.toggle('audio', audioOnly),
      available: (seconds, live) =>
        this.#say(live ? `Playing while it is made: ${clock(seconds)} so far` : ''),
      renew: async () => {
        const renewed = await this.#link.fetch();
        this.#link.show(renewed);
        return renewed;
      },
      failed: (message) => this.#say(message),
    });
    this.#player = player;
    this.#frame.prepend(player.element);
    this.#screen.element.hidden = true;
    player.load(playback);
  }

  /** What only a ready media has. */
  async #finish(media: Media, playback: Playback): Promise<void> {
    const player = this.#player;
    if (!player || !media.summary) return;
    this.#frame.classList.toggle('audio', !media.summary.width);
    player.complete(playback, media.summary);
    const { Waveform } = await import('./waveform.ts');
    if (this.#player !== player) return;
    const waveform = new Waveform(player.video);
    this.#waveform = waveform;
    this.#view.append(waveform.element);
    await waveform.load(playback, media.summary.duration, media.summary.waveformZooms);
  }

  #dropPlayer(): void {
    this.#playing = undefined;
    this.#waveform?.destroy();
    this.#waveform?.element.remove();
    this.#waveform = undefined;
    this.#player?.destroy();
    this.#player?.element.remove();
    this.#player = undefined;
    this.#screen.element.hidden = false;
    this.#link.hide();
    this.#frame.classList.remove('audio');
    this.#say('');
  }

  #say(message: string): void {
    text(this.#ribbon, message);
    this.#ribbon.hidden = message === '';
  }
}
