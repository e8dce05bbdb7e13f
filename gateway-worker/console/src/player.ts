// The player: hls.js for the stream, media-chrome for the controls.

import Hls, { ErrorDetails, ErrorTypes, Events, type ErrorData, type Level } from 'hls.js';
import 'media-tracks/polyfill';
import './controls.ts';
import { local } from './api.ts';
import { controls } from './controls.ts';
import { h } from './dom.ts';
import type { Playback, Summary } from './types.ts';

export interface PlayerEvents {
  /** The renditions are known. */
  kind(audioOnly: boolean): void;
  /** How much can be played so far, in seconds, and whether that grows. */
  available(seconds: number, live: boolean): void;
  /** The token has expired: a new playback, please. */
  renew(): Promise<Playback>;
  /** Playing has stopped for good. */
  failed(message: string): void;
}

/** A media that grows starts at its beginning, not at its live edge; it never slides. */
const config = {
  startPosition: 0,
  backBufferLength: 90,
  // A fair first guess for people at a desk; the measured bandwidth replaces it at once.
  abrEwmaDefaultEstimate: 4_000_000,
};

const renewAtMostEveryMs = 10_000;

export class Player {
  readonly video = h('video', { slot: 'media', playsinline: true, preload: 'auto' });
  #controls = controls(this.video);
  readonly element = this.#controls.element;
  #hls: Hls | undefined;
  #recovered = false;
  #renewedAt = -Infinity;

  constructor(private readonly events: PlayerEvents) {
    this.video.audioTracks.addEventListener('change', () => {
      const enabled = [...this.video.audioTracks].find((track) => track.enabled);
      if (this.#hls && enabled) this.#hls.audioTrack = Number(enabled.id);
    });
    this.video.videoRenditions.addEventListener('change', () => {
      // -1 is "auto", and so is what hls.js calls it.
      if (this.#hls) this.#hls.nextLevel = this.video.videoRenditions.selectedIndex;
    });
  }

  /** Loads the stream, from its beginning or from `at` seconds. */
  load(playback: Playback, at = 0): void {
    const url = local(playback.hls);
    if (playback.poster) this.video.poster = local(playback.poster);
    if (!Hls.isSupported()) {
      if (!this.video.canPlayType('application/vnd.apple.mpegurl')) {
        this.events.failed('This browser can play neither HLS nor media source extensions.');
        return;
      }
      this.video.src = url;
      return;
    }
    this.#hls?.destroy();
    const hls = new Hls({ ...config, startPosition: at });
    this.#hls = hls;
    hls.on(Events.MANIFEST_PARSED, (_, { levels }) => this.#offerRenditions(levels));
    hls.on(Events.AUDIO_TRACKS_UPDATED, () => this.#offerAudio());
    hls.on(Events.SUBTITLE_TRACKS_UPDATED, () => this.#offerMenus());
    hls.on(Events.LEVEL_UPDATED, (_, { details }) =>
      this.events.available(details.edge, details.live),
    );
    hls.on(Events.ERROR, (_, error) => void this.#onError(error));
    hls.loadSource(url);
    hls.attachMedia(this.video);
  }

  /**
   * What is only there once the media is ready: thumbnails for the seek bar, the poster, and tracks
   * that the master playlist did not list yet when it was loaded (hls.js reads it once).
   */
  complete(playback: Playback, { subtitleTracks = 0, audioTracks = 0 }: Summary): void {
    const hls = this.#hls;
    const missing =
      hls !== undefined &&
      hls.levels.length > 0 &&
      (hls.subtitleTracks.length < subtitleTracks || (audioTracks > 1 && hls.audioTracks.length < audioTracks));
    if (missing) this.#reload(playback);
    if (playback.poster && !this.video.poster) this.video.poster = local(playback.poster);
    if (!playback.storyboard || this.video.querySelector('track')) return;
    this.video.append(
      h('track', {
        kind: 'metadata',
        label: 'thumbnails',
        src: local(playback.storyboard),
        default: true,
      }),
    );
  }

  /** Loads anew where it stands, and goes on playing if it did. */
  #reload(playback: Playback): void {
    const playing = !this.video.paused;
    this.load(playback, this.video.currentTime);
    // Refused only where the person has not touched the page; then the button is there.
    if (playing) this.video.play().catch(() => {});
  }

  destroy(): void {
    this.#hls?.destroy();
    this.#hls = undefined;
    // Neither removing a track nor taking its source away ends its loading; another source does.
    for (const track of this.video.querySelectorAll('track')) track.src = 'data:text/vtt,WEBVTT';
    this.video.removeAttribute('poster');
    this.video.removeAttribute('src');
    this.video.load();
  }

  /** Offers the renditions in the quality menu, which media-chrome builds from the video's tracks. */
  #offerRenditions(levels: Level[]): void {
    for (const track of [...this.video.videoTracks]) this.video.removeVideoTrack(track);
    const withVideo = levels.filter((level) => level.videoCodec || level.height > 0);
    this.events.kind(withVideo.length === 0);
    // Controls that hide would leave nothing to look at where there is no picture.
    this.#controls.pin(withVideo.length === 0);
    if (withVideo.length === 0) return;
    const track = this.video.addVideoTrack('main');
    track.id = 'main';
    track.selected = true;
    levels.forEach((level, index) => {
      const { width, height, videoCodec, bitrate } = level;
      const rendition = track.addRendition(level.uri, width, height, videoCodec, bitrate);
      rendition.id = String(index);
    });
    this.#offerMenus();
  }

  #offerAudio(): void {
    for (const track of [...this.video.audioTracks]) this.video.removeAudioTrack(track);
    for (const { id, name, lang, default: main } of this.#hls?.audioTracks ?? []) {
      const track = this.video.addAudioTrack(main ? 'main' : 'alternative', name, lang);
      track.id = String(id);
      track.enabled = id === this.#hls?.audioTrack;
    }
    this.#offerMenus();
  }

  #offerMenus(): void {
    this.#controls.offer({
      quality: this.video.videoRenditions.length > 1,
      audio: (this.#hls?.audioTracks.length ?? 0) > 1,
      subtitles: (this.#hls?.subtitleTracks.length ?? 0) > 0,
    });
  }

  async #onError(error: ErrorData): Promise<void> {
    const hls = this.#hls;
    if (!hls || !error.fatal) return;
    if (error.response?.code === 403 && performance.now() - this.#renewedAt > renewAtMostEveryMs) {
      this.#renewedAt = performance.now();
      try {
        this.#reload(await this.events.renew());
      } catch {
        this.events.failed('The signed URL has expired and could not be renewed.');
      }
    } else if (error.type === ErrorTypes.MEDIA_ERROR && !this.#recovered) {
      this.#recovered = true;
      hls.recoverMediaError();
    } else {
      hls.stopLoad();
      this.events.failed(explain(error));
    }
  }
}

function explain(error: ErrorData): string {
  if (error.details === ErrorDetails.BUFFER_ADD_CODEC_ERROR) {
    return 'This browser has no decoder for the stream.';
  }
  const code = error.response?.code;
  return code ? `The stream answered ${code} (${error.details}).` : `hls.js: ${error.details}.`;
}
