// The least that a Worker can do to put a body into R2 in parts: no lock, no offset, no digest, no
// Durable Object, nothing remembered. As fast as this is what the platform allows.
//
//   POST   /        begins: answers the upload's id
//   PATCH  /?id=&part=   a body, cut into parts of 8 MiB from that number on: answers them as JSON
//   PUT    /?id=    completes: the body is all parts as JSON

const PART = 8 << 20;

export default {
  async fetch(request, { BUCKET }) {
    const query = new URL(request.url).searchParams;
    if (request.method === 'GET') return new Response('ready');
    if (request.method === 'POST') {
      return new Response((await BUCKET.createMultipartUpload('object')).uploadId);
    }
    const upload = BUCKET.resumeMultipartUpload('object', query.get('id'));
    if (request.method === 'PUT') {
      await upload.complete(await request.json());
      return new Response(null, { status: 204 });
    }
    const parts = [];
    const reader = request.body.getReader({ mode: 'byob' });
    let left = Number(request.headers.get('content-length'));
    let number = Number(query.get('part'));
    let sending;
    while (left > 0) {
      const size = Math.min(PART, left);
      const { value } = await reader.readAtLeast(size, new Uint8Array(size));
      if (sending) parts.push(await sending);
      sending = upload.uploadPart(number++, value);
      left -= size;
    }
    parts.push(await sending);
    return Response.json(parts);
  },
};
