// infra/runpod/deploy against a RunPod that enforces the documented shapes.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { afterEach, beforeEach, test } from "node:test";
import { fileURLToPath } from "node:url";
import { runpod } from "./runpod-api.mjs";

const DEPLOY = fileURLToPath(new URL("../../infra/runpod/deploy", import.meta.url));
const KEY = "rpa_THEKEY0123456789";
const SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const IMAGE = ["--image", "ghcr.io/reelmill/handler:1"];

let account;
beforeEach(async () => { account = await runpod(KEY); });
afterEach(() => account.close());

/** Runs it; nothing that it says may have a secret in it. */
async function deploy(args, environment = {}) {
  const env = { PATH: process.env.PATH, RUNPOD_API_KEY: KEY, HANDLER_WEBHOOK_SECRET: SECRET, RUNPOD_REST_URL: account.url, ...environment };
  const result = await new Promise((done) =>
    execFile(process.execPath, [DEPLOY, ...args], { env, timeout: 60_000 }, (error, stdout, stderr) =>
      done({ code: error ? error.code : 0, stdout, stderr })));
  for (const secret of [KEY, SECRET, env.HANDLER_WEBHOOK_SECRET].filter(Boolean)) {
    assert.ok(!(result.stdout + result.stderr).includes(secret), "a secret is shown");
  }
  return result;
}
const sent = () => account.requests.splice(0).filter(({ method }) => method !== "GET");

test("run twice, there is one template and one endpoint, and the second run changes nothing", async () => {
  const first = await deploy(IMAGE);
  assert.equal(first.code, 0, first.stderr);
  assert.deepEqual(sent().map(({ method, path }) => `${method} ${path}`), ["POST /v2/templates", "POST /v2/serverless"]);
  const second = await deploy(IMAGE);
  assert.equal(second.code, 0, second.stderr);
  assert.deepEqual(sent(), []);
  assert.equal(account.templates.length, 1);
  assert.equal(account.endpoints.length, 1);
  const [endpoint] = account.endpoints;
  assert.equal(first.stdout, `HANDLER_URL=https://api.runpod.ai/v2/${endpoint.id}\n`);
  assert.equal(second.stdout, first.stdout);
  // The template's, since the endpoint was made of it.
  assert.equal(endpoint.image, IMAGE[1]);
  assert.equal(endpoint.env.HANDLER_WEBHOOK_SECRET, SECRET);
  assert.deepEqual(endpoint.gpu, { pools: ["AMPERE_24", "ADA_24", "ADA_48_PRO"], count: 1, minCudaVersion: "12.4" });
  assert.equal(account.templates[0].startJupyter, false);
});

test("what differs is changed, in the endpoint too, which is a copy of its template", async () => {
  await deploy(IMAGE);
  sent();
  const { code, stderr } = await deploy(["--image", "ghcr.io/reelmill/handler:2", "--workers-max", "5"]);
  assert.equal(code, 0, stderr);
  const [template, endpoint] = sent();
  assert.deepEqual([template.method, template.body], ["PATCH", { image: "ghcr.io/reelmill/handler:2" }]);
  assert.equal(endpoint.method, "PATCH");
  assert.deepEqual(endpoint.body, { image: "ghcr.io/reelmill/handler:2", workers: { min: 0, max: 5, idleTimeout: 30 } });
});

test("a secret is rotated, and a variable that is gone goes", async () => {
  await deploy([...IMAGE, "--env", "REELMILL_CONCURRENCY=2"]);
  sent();
  const reference = "{{ RUNPOD_SECRET_reelmill }}";
  const { code, stderr } = await deploy(IMAGE, { HANDLER_WEBHOOK_SECRET: reference });
  assert.equal(code, 0, stderr);
  for (const { body } of sent()) assert.deepEqual(body, { env: { HANDLER_WEBHOOK_SECRET: reference } });
  assert.deepEqual(account.endpoints[0].env, { HANDLER_WEBHOOK_SECRET: reference });
});

test("what others have by other names is left alone", async () => {
  await deploy([...IMAGE, "--name", "other"]);
  await deploy(IMAGE);
  assert.deepEqual(account.endpoints.map(({ name }) => name), ["other", "reelmill"]);
  const { code } = await deploy(["--delete"]);
  assert.equal(code, 0);
  assert.deepEqual(account.endpoints.map(({ name }) => name), ["other"]);
  assert.deepEqual(account.templates.map(({ name }) => name), ["other"]);
  assert.equal((await deploy(["--delete"])).code, 0, "what is gone already is no error");
});

test("of two by one name it takes neither", async () => {
  await deploy(IMAGE);
  account.endpoints.push({ ...account.endpoints[0], id: "another" });
  sent();
  const { code, stderr } = await deploy([...IMAGE, "--workers-max", "9"]);
  assert.equal(code, 2);
  assert.match(stderr, /there are 2 by the name reelmill/);
  assert.deepEqual(sent(), []);
});

test("it waits where it is told to, and repeats what does no harm", async () => {
  account.faults.push(["GET", 503, {}], ["POST", 429, { "retry-after": "0" }], ["GET", 429, {}]);
  const { code, stderr } = await deploy(IMAGE);
  assert.equal(code, 0, stderr);
  assert.equal(account.endpoints.length, 1);
});

test("what may have been made is not made again", async () => {
  account.faults.push(["POST", 502, {}]);
  const { code, stderr } = await deploy(IMAGE);
  assert.equal(code, 2);
  assert.match(stderr, /POST \/v2\/templates: 502/);
  assert.equal(sent().length, 1);
});

test("RunPod's refusal is said in its words", async () => {
  const { code, stderr } = await deploy(IMAGE, { RUNPOD_API_KEY: "rpa_wrong" });
  assert.equal(code, 2);
  assert.match(stderr, /401: Unauthorized: invalid API key/);
  account.templates.push({ id: "pods", name: "reelmill", serverless: false, env: {} });
  account.faults.push(["PATCH", 422, {}]);
  assert.match((await deploy(IMAGE)).stderr, /PATCH \/v2\/templates\/pods: 422/);
});

test("a dry run sends nothing and needs no account", async () => {
  const { code, stdout } = await deploy([...IMAGE, "--dry-run", "--env", "S3_SECRET=hidden"], { RUNPOD_API_KEY: "" });
  assert.equal(code, 0);
  assert.deepEqual(account.requests, []);
  assert.match(stdout, /POST .*\/v2\/templates/);
  assert.match(stdout, /"HANDLER_WEBHOOK_SECRET": "\(secret\)"/);
  assert.ok(!stdout.includes("hidden"));
});

for (const [what, args, environment, says] of [
  ["no image", [], {}, /--image is missing/],
  ["no key", IMAGE, { RUNPOD_API_KEY: "" }, /RUNPOD_API_KEY must be set/],
  ["no secret", IMAGE, { HANDLER_WEBHOOK_SECRET: "" }, /HANDLER_WEBHOOK_SECRET must be set/],
  ["a secret of another kind", IMAGE, { HANDLER_WEBHOOK_SECRET: "hunter2-hunter2" }, /must be whsec_/],
  ["an option nobody knows", [...IMAGE, "--gpus", "4"], {}, /Unknown option '--gpus'/],
  ["a number that is none", [...IMAGE, "--workers-max", "many"], {}, /--workers-max must be a whole number/],
  ["fewer at most than at least", [...IMAGE, "--workers-max", "1", "--workers-min", "2"], {}, /must not be above/],
  ["half a variable", [...IMAGE, "--env", "REELMILL"], {}, /NAME=VALUE/],
]) {
  test(`refused before anything is sent: ${what}`, async () => {
    const { code, stderr } = await deploy(args, environment);
    assert.equal(code, 2, stderr);
    assert.match(stderr, says);
    assert.deepEqual(account.requests, []);
  });
}

test("cards without NVENC are warned of", async () => {
  const { code, stderr } = await deploy([...IMAGE, "--gpu-pools", "ADA_24,HOPPER_141"]);
  assert.equal(code, 0);
  assert.match(stderr, /HOPPER_141 have no NVENC/);
});

test("the RunPod here refuses what the real one documents", async () => {
  const post = async (path, body) => {
    const headers = { authorization: `Bearer ${KEY}` };
    const answer = await fetch(account.url + path, { method: "POST", headers, body: JSON.stringify(body) });
    return [answer.status, (await answer.json()).errors?.[0]];
  };
  // API v1's names.
  assert.deepEqual(await post("/v2/templates", { name: "a", image: "b", imageName: "b" }), [422, "$: additional properties 'imageName' not allowed"]);
  assert.deepEqual(await post("/v2/templates", { name: "a" }), [422, "$: missing property 'image'"]);
  const endpoint = { name: "a", type: "QUEUE", image: "b", gpu: { pools: ["ADA_24"] } };
  assert.deepEqual(await post("/v2/serverless", endpoint), [422, "$: missing property 'scaling'"]);
  const scaling = { type: "QUEUE_DELAY", queueDelay: 4 };
  assert.equal((await post("/v2/serverless", { ...endpoint, scaling, workers: { idleTimeout: 0 } }))[0], 422);
  assert.equal((await post("/v2/serverless", { ...endpoint, scaling, templateId: "nowhere" }))[0], 404);
});
