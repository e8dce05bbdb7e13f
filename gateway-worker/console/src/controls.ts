// The player's controls, from media-chrome's elements.

import 'media-chrome/media-control-bar';
import 'media-chrome/media-controller';
import 'media-chrome/media-duration-display';
import 'media-chrome/media-fullscreen-button';
import 'media-chrome/media-loading-indicator';
import 'media-chrome/media-mute-button';
import 'media-chrome/media-pip-button';
import 'media-chrome/media-play-button';
import 'media-chrome/media-preview-thumbnail';
import 'media-chrome/media-preview-time-display';
import 'media-chrome/media-seek-backward-button';
import 'media-chrome/media-seek-forward-button';
import 'media-chrome/media-time-display';
import 'media-chrome/media-time-range';
import 'media-chrome/media-volume-range';
import 'media-chrome/menu';
import { h, set } from './dom.ts';

export interface Controls {
  element: HTMLElement;
  /** Shows the menus for which there is a choice. */
  offer(choices: { quality: boolean; audio: boolean; subtitles: boolean }): void;
  /** Whether the bars stay while it plays. */
  pin(pinned: boolean): void;
}

/** A media-chrome controller around `video`. */
export function controls(video: HTMLVideoElement): Controls {
  const quality = item('Quality', 'media-rendition-menu');
  const audio = item('Audio', 'media-audio-track-menu');
  const subtitles = item('Subtitles', 'media-captions-menu');
  const speed = item('Speed', 'media-playback-rate-menu');
  const offer: Controls['offer'] = (choices) => {
    quality.hidden = !choices.quality;
    audio.hidden = !choices.audio;
    subtitles.hidden = !choices.subtitles;
  };
  offer({ quality: false, audio: false, subtitles: false });
  const bars = h(
    'div',
    { class: 'player-bars' },
    h(
      'media-control-bar',
      { class: 'player-seek' },
      h(
        'media-time-range',
        {},
        h('media-preview-thumbnail', { slot: 'preview' }),
        h('media-preview-time-display', { slot: 'preview' }),
      ),
    ),
    h(
      'media-control-bar',
      { class: 'player-buttons' },
      h('media-play-button'),
      h('media-seek-backward-button', { seekoffset: 10 }),
      h('media-seek-forward-button', { seekoffset: 10 }),
      h('media-mute-button'),
      h('media-volume-range'),
      h('media-time-display', { showduration: true }),
      h('span', { class: 'player-gap' }),
      h('media-settings-menu-button'),
      h('media-pip-button'),
      h('media-fullscreen-button'),
    ),
  );
  const element = h(
    'media-controller',
    { class: 'player', defaultstreamtype: 'on-demand', noautoseektolive: true },
    video,
    h('media-loading-indicator', { slot: 'centered-chrome', noautohide: true }),
    h('div', { slot: 'centered-chrome', class: 'player-center' }, h('media-play-button')),
    h('media-settings-menu', { hidden: true, anchor: 'auto' }, quality, audio, subtitles, speed),
    bars,
  );
  return { element, offer, pin: (pinned) => set(bars, { noautohide: pinned }) };
}

/** An entry of the settings menu that opens a menu of its own. */
function item(label: string, menu: string): HTMLElement {
  return h(
    'media-settings-menu-item',
    {},
    label,
    h(menu, { slot: 'submenu', hidden: true }, h('div', { slot: 'title' }, label)),
  );
}
