import { describe, expect, it } from 'vitest';
import { SseParser, type ServerEvent } from '../src/sse.ts';

function parse(...chunks: string[]): ServerEvent[] {
  const events: ServerEvent[] = [];
  const parser = new SseParser((event) => events.push(event));
  for (const chunk of chunks) parser.push(chunk);
  return events;
}

describe('SseParser', () => {
  it('reads event, data and id', () => {
    expect(parse('id: 7\nevent: media\ndata: {"a":1}\n\n')).toEqual([
      { event: 'media', data: '{"a":1}', id: '7' },
    ]);
  });

  it('does not care where the stream is cut', () => {
    const whole = ': hello\r\nid: 1\r\nevent: progress\r\ndata: one\r\ndata: two\r\n\r\ndata: three\n\n';
    const expected = [
      { event: 'progress', data: 'one\ntwo', id: '1' },
      { event: 'message', data: 'three', id: '1' },
    ];
    expect(parse(...whole)).toEqual(expected);
    expect(parse(whole)).toEqual(expected);
  });

  it('takes lone carriage returns as line ends', () => {
    expect(parse('data: a\r\rdata: b\r\r', 'x')).toHaveLength(2);
  });

  it('ignores comments, unknown fields and events without data', () => {
    expect(parse(': keep-alive\n\nevent: nothing\n\nfoo: bar\n\n')).toEqual([]);
  });

  it('removes only one space after the colon, and a byte order mark', () => {
    expect(parse('\uFEFFdata:  x\n\ndata\n\n').map((event) => event.data)).toEqual([' x', '']);
  });

  it('keeps the last id, and refuses one with NUL', () => {
    const ids = parse('id: 3\ndata: a\n\nid: 4\0\ndata: b\n\n').map((event) => event.id);
    expect(ids).toEqual(['3', '3']);
  });

  it('takes over the reconnection time', () => {
    const parser = new SseParser(() => {});
    parser.push('retry: 2500\nretry: soon\n');
    expect(parser.retry).toBe(2500);
  });
});
