// The least that a Worker can do: an object from R2, unsigned. What the gateway is compared with.
export default {
  async fetch(request, env) {
    const key = new URL(request.url).pathname.slice(1);
    if (request.method === "PUT") {
      await env.BUCKET.put(key, request.body);
      return new Response(null, { status: 204 });
    }
    const object = await env.BUCKET.get(key);
    if (object === null) return new Response(null, { status: 404 });
    return new Response(object.body, {
      headers: {
        "content-type": "video/iso.segment",
        "content-length": String(object.size),
        etag: object.httpEtag,
      },
    });
  },
};
