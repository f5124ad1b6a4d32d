"""A process starts and serves while the configuration's stores are all gone: what was published last, from
its own snapshot, and says so; it learns what it has missed when they are back. A mirror in etcd is enough,
too. An emergency file wins over all of it until it is over; one that is wrong is refused with its place."""
import datetime
import json
import shutil
import sys
import time

import harness
import stores


def documents(title):
    lines = {"cash": harness.line_config("cash", "http://127.0.0.1:9")}
    pages = harness.pages(lines)
    pages["golden"] = [{"line": "cash", "title": title}]
    return {"version": 1, "lines": lines}, {"version": 1, **pages}


def title_of(wallet):
    client = wallet.reader()
    try:
        return client.call("wallet.golden", uid=7)["golden"][0]["title"]
    finally:
        client.close()


def info(wallet):
    client = wallet.reader()
    try:
        return client.call("sys.info")
    finally:
        client.close()


def publish(wallet, title):
    client = wallet.writer()
    try:
        base = client.call("admin.config.status")["seq"]
        return client.call("admin.config.put", base=base, author="ann", reason=title,
                           presentation=json.dumps(documents(title)[1]))["seq"]
    finally:
        client.close()


def source_is(wallet, source, title):
    harness.until(lambda: info(wallet)["config_source"] == source and title_of(wallet) == title, 15,
                  f"{title!r} from the {source}")


def in_seconds(seconds):
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return moment.isoformat(timespec="milliseconds")


def emergency(path, seconds, title):
    """Written aside and renamed, as an operator's tool should."""
    text = json.dumps({"expires_at": in_seconds(seconds), "reason": "a wrong title is out",
                       "presentation": documents(title)[1]})
    aside = path.with_suffix(".new")
    aside.write_text(text)
    aside.rename(path)


def main():
    folder = harness.folder()
    redis = stores.Redis(folder / "redis").start()
    etcd = stores.Etcd(folder / "etcd").start()
    file = folder / "emergency.json"
    integration, presentation = documents("first")
    more = {"config__store": "redis", "config__redis": redis.at, "config__mirror_etcd": etcd.url,
            "config__emergency_file": file}
    here, there = (harness.Wallet(integration, presentation, **more, server__name=name).start()
                   for name in ("here", "there"))
    assert info(here)["config_source"] == "directory"
    seq = publish(here, "published")
    for wallet in (here, there):
        source_is(wallet, "store", "published")

    redis.kill()
    etcd.kill()
    here.stop()
    here.start()
    assert info(here)["config_source"] == "snapshot" and info(here)["config_seq"] == seq, info(here)
    assert title_of(here) == "published"
    client = here.writer()
    refused = client.error("admin.config.put", base=seq, author="ann", reason="x", timeout=10,
                           presentation=json.dumps(documents("not now")[1]))
    assert refused.code == "unavailable", refused
    problems = client.call("admin.config.status", timeout=10)["problems"]
    assert problems, "both stores are away and nobody says so"
    client.close()

    etcd.start()
    shutil.rmtree(here.folder / "data" / "config")
    here.kill()
    here.start()
    source_is(here, "mirror", "published")
    redis.start()
    redis.command("FLUSHALL")
    for wallet in (here, there):
        source_is(wallet, "store", "published")
    harness.until(lambda: publish_may(here, "healed"), 15, "the store is healed, and takes changes")
    source_is(there, "store", "healed")

    file.write_text('{"expires_at": "tomorrow"')
    time.sleep(1)
    assert title_of(here) == "healed", "a file that is no JSON changes nothing"
    emergency(file, 8, "emergency")
    source_is(here, "emergency", "emergency")
    harness.until(lambda: publish_may(there, "below"), 5, "it was healed there, too")
    assert title_of(here) == "emergency", "it wins over what is published meanwhile"
    source_is(here, "store", "below")
    here.stop()
    there.stop()
    redis.kill()
    etcd.kill()
    harness.passed("config_cold")


def publish_may(wallet, title):
    """False while the store is being healed."""
    try:
        return publish(wallet, title)
    except harness.Error as error:
        assert error.code == "conflict", error
        return None


if __name__ == "__main__":
    sys.exit(main())
