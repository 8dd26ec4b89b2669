"""Run a campaign by hand: ``python -m fuzz 20000``, from the directory ``tests``; or one of its cases again."""

from __future__ import annotations

import argparse
import secrets
import sys
import time

from fuzz.campaign import KEPT, Campaign, Zygotes


def main() -> int:
    """1 where something was found."""
    parser = argparse.ArgumentParser(prog="just fuzz", description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=500, help="cases")
    parser.add_argument("--seed", default=secrets.token_hex(3), help="word that the cases follow from")
    parser.add_argument("--case", type=int, help="one case of this number, in place of all")
    parser.add_argument("--processes", type=int, help="zygotes; as many as there are processors unless given")
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    start, numbers = time.monotonic(), range(asked.count) if asked.case is None else range(asked.case, asked.case + 1)
    step = 1 if sys.stderr.isatty() else max(asked.count // 20, 1)

    def tell(campaign: Campaign) -> None:
        if campaign.count % step == 0:
            words = f"{campaign.count:,} of {len(numbers):,}, {campaign.done:,} done, {len(campaign.findings)} findings"
            end = "\r" if sys.stderr.isatty() else "\n"
            print(f"{words}, {time.monotonic() - start:.0f} s", end=end, file=sys.stderr, flush=True)

    with Zygotes(asked.processes) as zygotes:
        campaign = zygotes.run(asked.seed, numbers, tell)
    print(f"\n{campaign}")
    if campaign.findings:
        print(f"their files are in {KEPT}; one again: just fuzz --seed {asked.seed} --case NUMBER")
    return bool(campaign.findings)


if __name__ == "__main__":
    raise SystemExit(main())
