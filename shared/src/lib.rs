//! Reelmill's pure core, shared by the gateway (wasm) and the handler (native).
//!
//! Nothing here performs I/O: time, ids, randomness and configuration are arguments, so every
//! decision is tested natively in milliseconds. Read it in this order:
//!
//! * [`media`]: the life of a media (`uploading → uploaded → transcoding → ready | failed`) as one
//!   function from state and event to state and effects.
//! * [`job`]: what the gateway asks of the handler, and what the handler reports back.
//! * [`cost`]: what jobs cost on platforms that bill by the second.
//! * [`probe`]: what a source is, from ffprobe's output, and what is refused.
//! * [`plan`]: one FFmpeg command with one decode for all outputs.
//! * [`ladder`] and [`frame_rate`]: the video renditions to make of it.
//! * [`subtitle`] and [`storyboard`]: subtitles in segments, and thumbnails for the seek bar.
//! * [`waveform`]: BBC audiowaveform's minimum and maximum of every pixel, streamed.
//! * [`playlist`] and [`segment`]: HLS playlists, and the look into segments that they need.
//! * [`address`]: which IP addresses a stranger may have us connect to.
//! * [`source_url`]: the URL that a source is fetched from, and what of it may be seen.
//! * [`object_key`]: where every byte lies in R2, with content type and cache control.
//! * [`sniff`]: the media type of a source by its first bytes.
//! * [`tier`]: how much a key may upload.
//! * [`token`]: the signed, expiring capabilities that URLs carry (playback, upload, handler I/O).
//! * [`upload`]: resumable uploads: tus 1.0's headers, parts, and which bytes are durable.
//! * [`multipart`]: sources that are put straight into R2, part by part.
//! * [`webhook`]: Standard Webhooks signatures, both ways, and the retry schedule.
//! * [`problem`]: every error a caller can see, with its stable code and HTTP status.
//! * [`secret`]: key material that never prints itself.

pub mod address;
pub mod cost;
pub mod frame_rate;
pub mod id;
pub mod job;
pub mod ladder;
pub mod media;
pub mod multipart;
pub mod object_key;
pub mod plan;
pub mod playlist;
pub mod probe;
pub mod problem;
pub mod secret;
pub mod segment;
pub mod sniff;
pub mod source_url;
pub mod storyboard;
pub mod subtitle;
pub mod tier;
pub mod token;
pub mod upload;
pub mod waveform;
pub mod webhook;
