#!/usr/bin/env python3
"""A line whose API was there before walletd: other paths, other names, money with decimals, no unit.
Nothing in it knows about walletd but the two things that a configuration cannot map: users are asked
for by POST {"uids": [...]}, and requests are signed. Usage as line.py.
"""
import json
import sys

from line import Line, main, month_bounds


def yuan(cents):
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02d}"


class Rebate(Line):
    def balances(self, uids):
        rows = [{"user": {"id": int(uid), "name": "..."}, "balance": yuan(balance), "seq": version,
                 "updated": changed}
                for uid, balance, version, changed in self.ledger.balances(uids)]
        return {"code": 0, "data": {"list": rows}}

    def history(self, user, period="", after="", size="20"):
        first, last = month_bounds(period)
        below = [int(part) for part in after.split("-")] if after else [last, 0]
        rows = self.ledger.entries(user, first, last, below, int(size))
        return {"code": 0, "page": {
            "rows": [{"no": f"R{number:016d}", "at": when // 1000, "memo": title,
                      "money": yuan(amount)} for number, when, title, amount in rows],
            "after": f"{rows[-1][1]}-{rows[-1][0]}" if len(rows) == int(size) else ""}}

    def totals(self, user, period=""):
        got, spent, rows = self.ledger.sums(user, *month_bounds(period))
        return {"code": 0, "data": {"got": yuan(got), "spent": yuan(spent), "rows": rows}}

    def answer(self, method, path, query, body):
        if (method, path) == ("POST", "/api/v2/balances"):
            return self.balances(json.loads(body)["uids"])
        if (method, path) == ("GET", "/api/v2/history"):
            return self.history(**query)
        if (method, path) == ("GET", "/api/v2/totals"):
            return self.totals(**query)
        return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], Rebate))
