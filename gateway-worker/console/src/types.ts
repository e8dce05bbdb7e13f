// What the gateway answers (docs/api.md), as far as the console reads it.

export type Status = 'uploading' | 'uploaded' | 'transcoding' | 'ready' | 'failed' | 'deleted';

export type Stage = 'downloading' | 'queued' | 'fetching' | 'probing' | 'encoding' | 'publishing';

export interface Progress {
  stage: Stage;
  /** Share of the whole job, 0 to 100. */
  percent: number;
  /** Multiple of real time. */
  speed?: number;
  etaSeconds?: number;
  /** How much of the source is downloaded. */
  bytes?: number;
}

export interface Summary {
  /** Seconds. */
  duration: number;
  width?: number;
  height?: number;
  frameRate?: number;
  /** Heights, largest first; empty when there is no video. */
  renditions?: number[];
  audioTracks?: number;
  subtitleTracks?: number;
  /** Samples per pixel of each stored waveform, finest first. */
  waveformZooms?: number[];
  encoder?: string;
  warnings?: string[];
}

export interface Failure {
  code: string;
  message: string;
  transient: boolean;
}

export interface Media {
  id: string;
  status: Status;
  playable: boolean;
  filename?: string;
  size?: number;
  contentType?: string;
  createdAt: string;
  updatedAt: string;
  attempts: number;
  retriesLeft: number;
  source?: { size: number; etag?: string; sha256?: string };
  progress?: Progress;
  summary?: Summary;
  error?: Failure;
  /** Where the gateway fetches it from, without credentials and query. */
  sourceUrl?: string;
  upload?: { tus?: { url: string; expiresAt: string } };
}

export interface ProgressEvent extends Progress {
  mediaId: string;
  attempt: number;
  playable: boolean;
}

export interface MediaPage {
  items: Media[];
  nextCursor?: string;
}

/** Absolute signed URLs of one attempt's outputs. */
export interface Playback {
  token: string;
  expiresAt: string;
  /** Whether the playlists still grow. */
  live: boolean;
  hls: string;
  poster?: string;
  storyboard?: string;
  waveform?: string;
  metadata?: string;
}

/** What may be uploaded. */
export interface Limits {
  tier: string;
  maxUploadBytes: number;
}

export interface Health {
  status: string;
  version: string;
  handler?: { status?: string; encoder?: string; [key: string]: unknown };
}

/** What a caller may choose about a media's processing. */
export interface Pipeline {
  segmentFormat?: 'cmaf' | 'ts';
  segmentSeconds?: number;
  retry?: 'manual' | 'automatic';
}
