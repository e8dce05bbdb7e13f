// The part of RunPod's REST API v2 that infra/runpod/deploy uses, as its OpenAPI description of August 2026 has it:
// unknown members, wrong types and missing ones are refused with 422, in the words of RFC 9457.
import { createServer } from "node:http";
import { once } from "node:events";

const text = (value) => typeof value === "string";
const filled = (value) => text(value) && value.length > 0;
const flag = (value) => typeof value === "boolean";
const whole = (low, high = Infinity) => (value) => Number.isInteger(value) && value >= low && value <= high;
const list = (each) => (value) => Array.isArray(value) && value.every(each);
const one = (...values) => (value) => values.includes(value);
const object = (members, required = []) => (value, path, errors) => {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return false;
  for (const name of required) if (!(name in value)) errors.push(`${path}: missing property '${name}'`);
  for (const [name, inner] of Object.entries(value)) {
    if (!members[name]) errors.push(`${path}: additional properties '${name}' not allowed`);
    else if (!members[name](inner, `${path}.${name}`, errors)) errors.push(`${path}.${name}: not valid`);
  }
  return true;
};
const strings = (value) => value !== null && typeof value === "object" && Object.values(value).every(text);
const version = (value) => text(value) && /^\d+\.\d+$/.test(value);

const container = {
  args: text, disk: whole(1), env: strings, image: text, ports: list(text), registry: (value) => value === null || text(value),
};
const template = {
  ...container, name: filled, category: one("CPU", "NVIDIA", "AMD"), public: flag, serverless: flag, startJupyter: flag,
  startSsh: flag, allowedCudaVersions: list(version),
};
const gpu = {
  pools: (value) => list(text)(value) && value.length > 0, excludedTypes: list(filled), count: whole(1),
  allowedCudaVersions: list(version), minCudaVersion: version,
};
const scaling = (value, path, errors) =>
  value?.type === "REQUEST_COUNT"
    ? object({ type: text, requestCount: whole(1) }, ["requestCount"])(value, path, errors)
    : value?.type === "QUEUE_DELAY" &&
      object({ type: text, queueDelay: (delay) => delay >= 0.5 }, ["queueDelay"])(value, path, errors);
const endpoint = (creating) => ({
  ...container, name: filled, scaling, templateId: filled, timeout: whole(0), dataCenterIds: list(text),
  flashboot: one("OFF", "FLASHBOOT", "PRIORITY_FLASHBOOT"), gpu: object(gpu, creating ? ["pools"] : []),
  workers: object({ min: whole(0), max: whole(0), idleTimeout: whole(1, 3600) }),
  ...(creating && { type: one("QUEUE", "LOAD_BALANCER") }),
});

/** A RunPod with nothing on it. `faults` are answers that come before its own: [method, status, headers]. */
export async function runpod(key) {
  const account = { templates: [], endpoints: [], requests: [], faults: [], url: "" };
  let made = 0;
  const problem = (status, title, detail, errors) => [status, { title, status, detail, ...(errors && { errors }) }];
  const checked = (shape, body, then) => {
    const errors = [];
    if (!shape(body, "$", errors)) errors.push("$: no object");
    return errors.length > 0 ? problem(422, "Unprocessable Entity", "validation failed", errors) : then();
  };
  const routes = {
    "/v2/templates": {
      list: "templates", create: object(template, ["name", "image"]), update: object(template),
      make: (body) =>
        account.templates.some((each) => each.name === body.name)
          ? problem(400, "Bad Request", "template names must be unique")
          : [201, { args: "", ports: [], startSsh: true, startJupyter: true, serverless: false, public: false, ...body }],
    },
    "/v2/serverless": {
      list: "endpoints", create: object(endpoint(true), ["name", "type", "scaling"]), update: object(endpoint(false)),
      make({ templateId, ...body }) {
        const from = account.templates.find((each) => each.id === templateId);
        if (templateId && !from) return problem(404, "Not Found", "template not found");
        if (from && !from.serverless) return problem(422, "Unprocessable Entity", "not a serverless template");
        if (!from && !body.image) return problem(422, "Unprocessable Entity", "missing property 'image'");
        if (!body.gpu === !body.cpu) return problem(400, "Bad Request", "exactly one of gpu and cpu");
        const { image, disk, env, registry } = from ?? {};
        return [201, { timeout: 300_000, image, disk, registry, ...body, env: { ...env, ...body.env }, dataCenterIds: [] }];
      },
    },
  };
  const answer = ({ method, url, headers }, body) => {
    if (headers.authorization !== `Bearer ${key}`) return problem(401, "Unauthorized", "invalid API key");
    const route = routes[Object.keys(routes).find((path) => url === path || url.startsWith(`${path}/`))];
    if (!route) return problem(404, "Not Found", "no such path");
    const there = account[route.list];
    const id = url.split("/")[3];
    if (method === "GET" && !id) return [200, { [route.list]: there }];
    if (method === "POST" && !id) {
      return checked(route.create, body, () => {
        const [status, resource] = route.make(body);
        if (status !== 201) return [status, resource];
        resource.id = `id${(made += 1)}`;
        if (route.list === "endpoints") resource.requestUrls = { run: `https://api.runpod.ai/v2/${resource.id}/run` };
        there.push(resource);
        return [201, resource];
      });
    }
    const at = there.findIndex((each) => each.id === id);
    if (at < 0) return problem(404, "Not Found", "no such resource");
    if (method === "PATCH") return checked(route.update, body, () => [200, Object.assign(there[at], body)]);
    if (method === "DELETE") return [204, there.splice(at, 1) && undefined];
    return problem(405, "Method Not Allowed", method);
  };
  const server = createServer(async (request, response) => {
    let raw = "";
    for await (const chunk of request) raw += chunk;
    account.requests.push({ method: request.method, path: request.url, body: raw && JSON.parse(raw) });
    const fault = account.faults.findIndex(([method]) => method === request.method);
    if (fault >= 0) {
      const [[, status, headers]] = account.faults.splice(fault, 1);
      return response.writeHead(status, headers).end();
    }
    const [status, body] = answer(request, raw && JSON.parse(raw));
    response.writeHead(status, { "content-type": "application/json" }).end(body && JSON.stringify(body));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  account.url = `http://127.0.0.1:${server.address().port}`;
  account.close = () => new Promise((done) => { server.close(done); server.closeAllConnections(); });
  return account;
}
