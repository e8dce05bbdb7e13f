// What the media-tracks polyfill adds to media elements; the package does not export this itself.

import type { AudioTrack, AudioTrackList, VideoRenditionList, VideoTrack, VideoTrackList } from 'media-tracks';

declare global {
  interface HTMLMediaElement {
    audioTracks: AudioTrackList;
    addAudioTrack(kind: string, label?: string, language?: string): AudioTrack;
    removeAudioTrack(track: AudioTrack): void;
    videoTracks: VideoTrackList;
    videoRenditions: VideoRenditionList;
    addVideoTrack(kind: string, label?: string, language?: string): VideoTrack;
    removeVideoTrack(track: VideoTrack): void;
  }
}
