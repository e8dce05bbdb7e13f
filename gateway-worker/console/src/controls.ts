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
import { h } from './dom.ts';

/** A media-chrome controller around `video`. */
export function controls(video: HTMLVideoElement): HTMLElement {
  return h(
    'media-controller',
    { class: 'player', defaultstreamtype: 'on-demand', noautoseektolive: true, gesturesdisabled: false },
    video,
    h('media-loading-indicator', { slot: 'centered-chrome', noautohide: true }),
    h('div', { slot: 'centered-chrome', class: 'player-center' }, h('media-play-button')),
    settings(),
    h(
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
    ),
  );
}

function settings(): HTMLElement {
  const item = (label: string, menu: string) =>
    h(
      'media-settings-menu-item',
      {},
      label,
      h(menu, { slot: 'submenu', hidden: true }, h('div', { slot: 'title' }, label)),
    );
  return h(
    'media-settings-menu',
    { hidden: true, anchor: 'auto' },
    item('Quality', 'media-rendition-menu'),
    item('Speed', 'media-playback-rate-menu'),
    item('Audio', 'media-audio-track-menu'),
    item('Subtitles', 'media-captions-menu'),
  );
}
