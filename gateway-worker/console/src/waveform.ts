// The waveform below the player: drawn by wavesurfer from peaks that the pipeline made, so that no
// audio is fetched or decoded for it. It follows the video and seeks it.

import WaveSurfer from 'wavesurfer.js';
import { local } from './api.ts';
import { h, set } from './dom.ts';
import { clock } from './format.ts';
import { peaks, zoomFor, type Audiowaveform } from './peaks.ts';
import type { Playback } from './types.ts';

const stepSeconds = 5;

export class Waveform {
  readonly element = h('div', {
    class: 'waveform',
    role: 'slider',
    tabindex: 0,
    'aria-label': 'Position in the waveform',
    'aria-valuemin': 0,
    hidden: true,
  });
  #surfer: WaveSurfer | undefined;
  #frame = 0;
  #duration = 0;
  #stop = new AbortController();

  constructor(private readonly video: HTMLVideoElement) {
    const { signal } = this.#stop;
    for (const name of ['seeking', 'timeupdate', 'pause', 'play']) {
      video.addEventListener(name, () => this.#follow(), { signal });
    }
    this.element.addEventListener('keydown', (event) => this.#key(event), { signal });
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.recolour(), {
      signal,
    });
    document.addEventListener('themechange', () => this.recolour(), { signal });
  }

  /** Fetches the zoom that fits the width and draws it. Does nothing for a media without sound. */
  async load(playback: Playback, duration: number, zooms: number[] = []): Promise<void> {
    if (!playback.waveform || duration <= 0) return;
    const zoom = zoomFor(zooms, duration, 1600);
    const url = zoom ? new URL(`../waveform/${zoom}.json`, playback.hls).href : playback.waveform;
    const response = await fetch(local(url), { signal: this.#stop.signal });
    if (!response.ok) throw new Error(`The waveform answered ${response.status}.`);
    const data = peaks((await response.json()) as Audiowaveform);
    if (this.#stop.signal.aborted || data.length === 0) return;
    this.#duration = duration;
    this.element.hidden = false;
    set(this.element, { 'aria-valuemax': Math.round(duration) });
    this.#surfer?.destroy();
    this.#surfer = WaveSurfer.create({
      container: this.element,
      peaks: [data],
      duration,
      height: 'auto',
      barWidth: 2,
      barGap: 1,
      barRadius: 2,
      barMinHeight: 1,
      barHeight: 0.82,
      cursorWidth: 2,
      dragToSeek: { debounceTime: 0 },
      normalize: true,
      ...this.#colours(),
    });
    this.#surfer.on('interaction', (time) => {
      this.video.currentTime = time;
    });
    this.#follow();
  }

  recolour(): void {
    this.#surfer?.setOptions(this.#colours());
  }

  destroy(): void {
    this.#stop.abort();
    cancelAnimationFrame(this.#frame);
    this.#surfer?.destroy();
  }

  #colours(): { waveColor: string; progressColor: string; cursorColor: string } {
    // A canvas knows no custom properties, so a probe resolves them.
    const resolve = (name: string) => {
      const probe = h('span', { style: `color: var(${name})` });
      this.element.append(probe);
      const { color } = getComputedStyle(probe);
      probe.remove();
      return color;
    };
    return {
      waveColor: resolve('--wave'),
      progressColor: resolve('--accent'),
      cursorColor: resolve('--ink'),
    };
  }

  /** Moves the cursor to the video's time, and goes on while the video plays. */
  #follow(): void {
    cancelAnimationFrame(this.#frame);
    if (!this.#surfer) return;
    const now = Math.min(this.video.currentTime, this.#duration);
    this.#surfer.setTime(now);
    set(this.element, {
      'aria-valuenow': Math.round(now),
      'aria-valuetext': `${clock(now)} of ${clock(this.#duration)}`,
    });
    if (!this.video.paused) this.#frame = requestAnimationFrame(() => this.#follow());
  }

  #key(event: KeyboardEvent): void {
    const at = this.video.currentTime;
    const to: Record<string, number> = {
      ArrowLeft: at - stepSeconds,
      ArrowDown: at - stepSeconds,
      ArrowRight: at + stepSeconds,
      ArrowUp: at + stepSeconds,
      Home: 0,
      End: this.#duration,
    };
    const target = to[event.key];
    if (target === undefined) return;
    event.preventDefault();
    this.video.currentTime = Math.max(0, Math.min(this.#duration, target));
  }
}
