#!/usr/bin/env node
// A client of walletd in one class. Run `npm ci --ignore-scripts` once.
//
// usage: wallet.mjs UID              prints the wallet page of a user
//        wallet.mjs watch UID        prints the golden slots whenever they change
//        -e ENDPOINT before either   another server than tcp://127.0.0.1:7700
//        -k FILE -s FILE             our keys (NAME.key_secret) and the server's public key (NAME.key),
//                                    when it wants keys; or $WALLET_KEY, $WALLET_SERVER_KEY
import {readFileSync, realpathSync} from "node:fs";
import {setTimeout as sleep} from "node:timers/promises";
import {fileURLToPath} from "node:url";
import {Packr} from "msgpackr";
import {Dealer} from "zeromq";

// "auto": integers beyond 2^53 come as BigInt, so that no digit of an id or amount is lost.
const msgpack = new Packr({useRecords: false, int64AsType: "auto"});

/** walletd refused: code, message, retryable, retry_after_ms (or undefined). */
export class WalletError extends Error {
    constructor(error) {
        super(`${error.code}: ${error.message}`);
        Object.assign(this, {name: "WalletError", ...error});
    }
}

/** No answer in time. Reads may simply be asked again, and so may notifications. */
export class WalletTimeout extends Error {
    name = "WalletTimeout";
}

/** The keys in a file of `walletctl keys new`: {publicKey, secretKey?}, as text. */
export function keysOf(file) {
    const text = readFileSync(file, "utf8");
    const field = (name) => new RegExp(`^ +${name} = "(.{40})"$`, "m").exec(text)?.[1];
    return {publicKey: field("public-key"), secretKey: field("secret-key")};
}

/** One connection with any number of requests under way. Ids make late answers harmless. */
export class Wallet {
    #socket;
    #timeoutMs;
    #msgid = 0;
    #waiting = new Map(); // msgid -> {resolve, reject, timer}
    #sending = Promise.resolve(); // a zeromq.js socket takes one send at a time

    constructor(endpoint = "tcp://127.0.0.1:7700",
                {timeoutMs = 1000, keyFile, serverKeyFile} = {}) {
        this.#timeoutMs = timeoutMs;
        const curve = keyFile || serverKeyFile
            ? {curvePublicKey: keysOf(keyFile).publicKey, curveSecretKey: keysOf(keyFile).secretKey,
               curveServerKey: keysOf(serverKeyFile).publicKey}
            : {};
        this.#socket = new Dealer({linger: 0, ...curve});
        this.#socket.connect(endpoint);
        this.#receive().catch((error) => this.#fail(error));
    }

    call(method, args = {}) {
        const msgid = (this.#msgid = (this.#msgid % 0xffffffff) + 1);
        const body = msgpack.pack([0, msgid, method, [{deadline_ms: this.#timeoutMs, ...args}]]);
        return new Promise((resolve, reject) => {
            const timer = setTimeout(() => {
                this.#waiting.delete(msgid);
                reject(new WalletTimeout(`${method}: no answer in ${this.#timeoutMs} ms`));
            }, this.#timeoutMs);
            this.#waiting.set(msgid, {resolve, reject, timer});
            // The empty frame is what a REQ socket would send before the body.
            this.#sending = this.#sending
                .then(() => this.#socket.send([null, body]))
                .catch((error) => this.#settle(msgid, error));
        });
    }

    home(uid) {
        return this.call("wallet.home", {uid});
    }

    golden(uid) {
        return this.call("wallet.golden", {uid});
    }

    async hasAssets(uids) {
        return (await this.call("wallet.has_assets", {uids})).has;
    }

    close() {
        this.#fail(new Error("the wallet was closed"));
        this.#socket.close();
    }

    async #receive() {
        for await (const frames of this.#socket) {
            const [kind, msgid, error, result] = msgpack.unpack(frames[frames.length - 1]);
            if (kind === 1) {
                this.#settle(Number(msgid), error && new WalletError(error), result);
            }
        }
    }

    #settle(msgid, error, result) {
        const call = this.#waiting.get(msgid);
        if (call) {
            this.#waiting.delete(msgid);
            clearTimeout(call.timer);
            error ? call.reject(error) : call.resolve(result);
        }
    }

    #fail(error) {
        for (const msgid of [...this.#waiting.keys()]) {
            this.#settle(msgid, error);
        }
    }
}

/** Minor units to text, without a float in between. null is unknown, never zero. */
export function money({amount, unit, scale, count}) {
    if (amount === null) {
        return "unknown";
    }
    if (!unit) {
        return `${count} pieces`;
    }
    const minor = BigInt(amount);
    const digits = String(minor < 0n ? -minor : minor).padStart(scale + 1, "0");
    const point = digits.length - scale;
    return `${minor < 0n ? "-" : ""}${digits.slice(0, point)}` +
        `${scale ? "." + digits.slice(point) : ""} ${unit}`;
}

function row(name, value, freshness) {
    console.log(`  ${name.padEnd(20)} ${value.padStart(20)}  ${freshness}`);
}

function printGolden({golden}) {
    golden.filter((slot) => slot.line).forEach((slot) =>
        row(slot.title, money(slot), slot.freshness));
}

function printHome(home) {
    console.log(`user ${home.uid} owns ${home.has_assets ? "something" : "nothing"}`);
    printGolden(home);
    for (const {kind, title, items} of home.sections) {
        console.log(title || kind);
        items.forEach((item) => {
            const link = item.link || (item.extra.link ?? ""); // a campaign's goes first
            row(item.campaign ? item.title : item.line, item.kind === "link" ? link : money(item),
                item.freshness);
        });
    }
    if (home.degraded.length) {
        console.log("as last known:", ...home.degraded);
    }
}

async function watch(wallet, uid) {
    for (let seen = ""; ; await sleep(500)) {
        try {
            const reply = await wallet.golden(uid);
            const shown = reply.golden.map((slot) =>
                [slot.line, slot.amount, slot.count, slot.freshness].join()).join();
            if (shown !== seen) {
                console.log(new Date().toTimeString().slice(0, 8), "user", String(uid));
                printGolden(reply);
                seen = shown;
            }
        } catch (error) {
            console.error(error.message);
            if (error instanceof WalletError && !error.retryable) {
                return 1;
            }
        }
    }
}

async function main(words) {
    const options = {"-k": process.env.WALLET_KEY, "-s": process.env.WALLET_SERVER_KEY};
    while (["-e", "-k", "-s"].includes(words[0])) {
        const [flag, value] = words.splice(0, 2);
        options[flag] = value;
    }
    const watching = words[0] === "watch" && words.shift() !== undefined;
    if (words.length !== 1 || !/^[0-9]+$/.test(words[0])) {
        console.error("usage: wallet.mjs [-e ENDPOINT] [-k FILE -s FILE] [watch] UID");
        return 2;
    }
    const wallet = new Wallet(options["-e"],
        {keyFile: options["-k"] || undefined, serverKeyFile: options["-s"] || undefined});
    const uid = BigInt(words[0]);
    try {
        if (watching) {
            return await watch(wallet, uid);
        }
        printHome(await wallet.home(uid));
        return 0;
    } catch (error) {
        console.error(error.message);
        return error instanceof WalletTimeout ? 5 : 1;
    } finally {
        wallet.close();
    }
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
    process.exit(await main(process.argv.slice(2)));
}
