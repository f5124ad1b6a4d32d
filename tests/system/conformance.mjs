#!/usr/bin/env node
// The same as conformance.py with another ZeroMQ binding and another MessagePack library, those of
// examples/node (npm ci --ignore-scripts there).
//
// usage: conformance.mjs READER WRITER FILE...
import {readFileSync} from "node:fs";
import {createRequire} from "node:module";

const require = createRequire(new URL("../../examples/node/package.json", import.meta.url));
const {Dealer} = require("zeromq");
const {Packr} = require("msgpackr");
const msgpack = new Packr({useRecords: false, int64AsType: "auto", mapsAsObjects: true});
const PATIENCE_MS = 10000, SILENCE_MS = 300;

function typeOf(value) {
    if (value === null) return "nil";
    if (typeof value === "number" || typeof value === "bigint") return "number";
    return Array.isArray(value) ? "array" : typeof value;
}

// Puts the expected value where the path leads, if it has the type of the actual one.
function mask(actual, expected, [step, ...rest]) {
    if (typeOf(actual) !== typeOf(expected) || !["array", "object"].includes(typeOf(actual))) {
        return;
    }
    for (const key of step === "*" ? Object.keys(actual) : [step]) {
        if (!(key in actual) || !(key in expected)) continue;
        if (rest.length) {
            mask(actual[key], expected[key], rest);
        } else if (typeOf(actual[key]) === typeOf(expected[key])) {
            actual[key] = expected[key];
        }
    }
}

// BigInt and Number are both integers here.
function canonical(value) {
    return JSON.stringify(value, (_, one) => (typeof one === "bigint" ? `${one}` :
        typeof one === "number" ? `${one}` : one));
}

function difference(actual, expected, paths) {
    if (actual.equals(expected)) return null;
    const [value, wanted] = [msgpack.unpack(actual), msgpack.unpack(expected)];
    paths.forEach((path) => mask(value, wanted, path.split("/")));
    const texts = paths.some((path) => path.endsWith("message"));
    const same = paths.length > 0 && canonical(value) === canonical(wanted) &&
        (texts || actual.length === expected.length);
    return same ? null : `expected ${canonical(wanted)}\n     got ${canonical(value)}`;
}

async function ask(socket, frames, ms) {
    await socket.send(frames);
    socket.receiveTimeout = ms;
    try {
        return await socket.receive();
    } catch (error) {
        if (error.code === "EAGAIN") return null;
        throw error;
    }
}

async function check(socket, delimiter, vector) {
    const head = delimiter ? [Buffer.alloc(0)] : [];
    const silent = vector.reply === null;
    const frames = await ask(socket, [...head, Buffer.from(vector.request, "hex")],
        silent ? SILENCE_MS : PATIENCE_MS);
    if (silent || frames === null) {
        return silent && frames === null ? null : `expected ${vector.reply}, got ${frames}`;
    }
    if (frames.length !== head.length + 1 || (delimiter && frames[0].length !== 0)) {
        return `framed in ${frames.length} frames`;
    }
    return difference(frames[frames.length - 1], Buffer.from(vector.reply, "hex"), vector.mask);
}

async function run(endpoints, path) {
    const {vectors} = JSON.parse(readFileSync(path, "utf8"));
    let failed = 0;
    for (const delimiter of [true, false]) {
        const sockets = {};
        for (const [port, endpoint] of Object.entries(endpoints)) {
            sockets[port] = new Dealer({linger: 0});
            sockets[port].connect(endpoint);
        }
        for (const vector of vectors) {
            const wrong = await check(sockets[vector.port], delimiter, vector);
            if (wrong) {
                failed++;
                console.log(`${path} ${vector.name} (${delimiter ? "REQ" : "DEALER"}): ` +
                    `${vector.about}\n    ${wrong}`);
            }
        }
        Object.values(sockets).forEach((socket) => socket.close());
    }
    console.log(`${path}: ${2 * vectors.length - failed} of ${2 * vectors.length} hold`);
    return failed;
}

const [reader, writer, ...paths] = process.argv.slice(2);
if (!paths.length) {
    console.error("usage: conformance.mjs READER WRITER FILE...");
    process.exit(2);
}
let failed = 0;
for (const path of paths) {
    failed += await run({reader, writer}, path);
}
process.exit(failed ? 1 : 0);
