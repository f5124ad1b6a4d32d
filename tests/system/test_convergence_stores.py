"""The convergence test once more, on Redis (cache and queue) and two MariaDB shards."""
import os
import sys

for name, value in {"BACKEND": "real", "USERS": "10000", "CHANGES": "80000",
                    "READS": "300000", "RATE": "3000"}.items():
    os.environ.setdefault(f"WALLET_TEST_{name}", value)

import test_convergence  # noqa: E402

if __name__ == "__main__":
    sys.exit(test_convergence.main())
