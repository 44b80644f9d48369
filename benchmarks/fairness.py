"""How much longer ten targets of one tenant take beside five thousand calls of another one.

    python -m benchmarks.fairness

In virtual time, with the real client on a server that takes 0.2 to 0.4 s per request. `calls` is a
creation and its results, three requests in a row; `scan` waits for a scan of a minute, too. The
load has been there for ten seconds when the ten targets come. A call that hangs ends after 5 s.

Goals: at most 2 times as long as alone with 20 slots, at most 1.5 times with 100.
"""

from tests.support.fairness import calls, ratios, scan

CASES = ((20, None), (100, None), (20, 20.0))


def main() -> None:
    """Print how many times as long as alone each work takes beside each load."""
    for slots, rate in CASES:
        pace = "" if rate is None else f", {rate:.0f} requests per second"
        print(f"{slots} slots{pace}")
        for work in (calls, scan):
            for load, ratio in ratios(work, slots=slots, rate=rate):
                print(f"  {work.__name__:6} beside {load:20} {ratio:6.2f} x", flush=True)


if __name__ == "__main__":
    main()
