import { expect, it } from 'vitest';
import { Departures } from '../src/departures.ts';

it('what is fetched of a departing media ends, and of no other', () => {
  const departures = new Departures();
  const [going, staying] = [departures.signal('a'), departures.signal('b')];
  departures.begin('a');
  expect([going.aborted, staying.aborted]).toEqual([true, false]);
  expect(departures.signal('a').aborted).toBe(true);
});

it('a media that could not be deleted may be asked for again', () => {
  const departures = new Departures();
  departures.begin('a');
  departures.callOff('a');
  expect(departures.signal('a').aborted).toBe(false);
});
