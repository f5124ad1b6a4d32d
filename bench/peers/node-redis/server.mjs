// The same question as wallet.home, answered the usual way: one Node.js process, Redis, JSON over HTTP.
// Written as somebody would who wants it fast: presence and the user's hash are asked for in one
// pipelined round trip (the client pipelines whatever is asked for in one turn of the loop), keep-alive
// connections, no framework.
//
//     node server.mjs HTTP_PORT REDIS_PORT [USERS]     with USERS: fills Redis first, prints "filled"
import http from "node:http";
import { createClient } from "redis";

const [port, redisPort, users] = process.argv.slice(2).map(Number);
const redis = createClient({ socket: { host: "127.0.0.1", port: redisPort } });
redis.on("error", (error) => console.error(String(error)));
await redis.connect();

const PRESENCE = "presence"; // a bitmap
const LINES = ["cash", "withdraw", "rebate", "coin"];
const KINDS = { cash: "cash", withdraw: "activity", rebate: "cashback", coin: "coin" };

async function fill(count) {
  for (let first = 1; first <= count; first += 500) {
    const work = [];
    for (let uid = first; uid < first + 500 && uid <= count; uid++) {
      const fields = {};
      for (const line of LINES) {
        fields[`${line}/`] = JSON.stringify({
          line, bucket: "", kind: KINDS[line], amount: String(100 + uid), unit: "CNY", scale: 2,
          count: 0, pending: "0", state: "available", expires_at: 0, version: String(uid),
          changed_at: 0, pulled_at: Date.now(), extra: { title: "Balance" },
        });
      }
      work.push(redis.hSet(`w:${uid}`, fields), redis.setBit(PRESENCE, uid, 1));
    }
    await Promise.all(work);
  }
}

function home(uid, fields) {
  const assets = Object.values(fields).map((text) => JSON.parse(text));
  const byLine = new Map(assets.map((asset) => [asset.line, asset]));
  const now = Date.now();
  const shown = (asset) => ({
    ...asset, as_of: asset.pulled_at, source: "cache",
    freshness: now - asset.pulled_at < 60_000 ? "fresh" : "stale",
  });
  const golden = LINES.map((line) => ({ line, title: line, assets: byLine.has(line) ? [shown(byLine.get(line))] : [] }));
  const sections = LINES.map((line) => {
    const items = byLine.has(line) ? [shown(byLine.get(line))] : [];
    const total = items.reduce((sum, item) => sum + BigInt(item.amount), 0n);
    return { kind: KINDS[line], title: line, items, totals: [{ unit: "CNY", scale: 2, amount: String(total) }] };
  });
  return { uid, has_assets: assets.length > 0, golden, sections, degraded: [], config_version: "1.1" };
}

const server = http.createServer(async (request, response) => {
  const at = request.url.indexOf("uid=");
  const uid = at < 0 ? 0 : Number(request.url.slice(at + 4));
  if (!Number.isSafeInteger(uid) || uid <= 0) {
    response.writeHead(400).end();
    return;
  }
  try {
    const [present, fields] = await Promise.all([redis.getBit(PRESENCE, uid), redis.hGetAll(`w:${uid}`)]);
    const body = JSON.stringify(home(uid, present ? fields : {}));
    response.writeHead(200, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) });
    response.end(body);
  } catch {
    response.writeHead(503).end();
  }
});
server.keepAliveTimeout = 600_000;
if (users > 0) {
  await fill(users);
}
server.listen(port, "127.0.0.1", () => console.log("filled"));
