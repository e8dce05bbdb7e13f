import { expect, it } from 'vitest';
import { Store } from '../src/store.ts';
import type { Media, ProgressEvent } from '../src/types.ts';
import { fresh } from '../src/upload-state.ts';

const media = (more: Partial<Media>): Media => ({
  id: 'med_1',
  status: 'transcoding',
  playable: false,
  createdAt: '',
  updatedAt: '',
  attempts: 1,
  retriesLeft: 1,
  ...more,
});
const progress = (attempt: number): ProgressEvent => ({
  mediaId: 'med_1',
  attempt,
  stage: 'encoding',
  percent: 50,
  playable: true,
});

it('takes progress of the running attempt, and none of an earlier one', () => {
  const store = new Store();
  store.put(media({ attempts: 2 }));
  store.progress(progress(1));
  expect(store.get('med_1')?.progress).toBeUndefined();
  store.progress(progress(2));
  expect(store.get('med_1')).toMatchObject({ playable: true, progress: { percent: 50 } });
});

it('does not take a media back from rest', () => {
  const store = new Store();
  store.put(media({ status: 'ready' }));
  store.progress(progress(1));
  expect(store.get('med_1')?.status).toBe('ready');
});

it('leaves a media that is being downloaded where it is', () => {
  const store = new Store();
  store.put(media({ status: 'uploading', attempts: 0 }));
  store.progress({ ...progress(0), stage: 'downloading', playable: false });
  expect(store.get('med_1')).toMatchObject({ status: 'uploading', progress: { stage: 'downloading' } });
  store.put(media({ status: 'transcoding' }));
  store.progress({ ...progress(101), stage: 'downloading' });
  expect(store.get('med_1')?.progress).toBeUndefined();
});

it('forgets an upload when the gateway has the file', () => {
  const store = new Store();
  store.setUpload('med_1', fresh(2, 'sending'));
  store.put(media({ status: 'uploading' }));
  expect(store.upload('med_1')).toBeDefined();
  store.put(media({ status: 'uploaded' }));
  expect(store.upload('med_1')).toBeUndefined();
});

it('tells of a removal once', () => {
  const store = new Store();
  store.put(media({}));
  const seen: (Media | undefined)[] = [];
  store.subscribe(({ media }) => seen.push(media));
  store.remove('med_1');
  store.remove('med_1');
  expect(seen).toEqual([undefined]);
});
