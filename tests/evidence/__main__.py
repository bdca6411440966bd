"""python -m tests.evidence [NAME...]: runs the long proofs and writes their results into docs/correctness.md.

Without a name it runs all, which takes hours. Exit code 1 if any fails. `dynamodb-local` needs DYNAMODB_ENDPOINT, the
URL of a running DynamoDB Local.
"""

from __future__ import annotations

import argparse
import sys

from tests.evidence.runs import PROOFS, current_commit, run, store


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.evidence", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(proof.name for proof in PROOFS))
    names = parser.parse_args().names
    if unknown := {*names} - {proof.name for proof in PROOFS}:
        parser.error(f"There is no proof {', '.join(sorted(unknown))}.")
    passed = True
    for proof in PROOFS:
        if names and proof.name not in names:
            continue
        print(f"{proof.name}: {proof.command}", flush=True)
        ran = run(proof, current_commit())
        store(ran)
        print(f"{'passed' if ran.passed else 'FAILED'} after {ran.minutes:g} minutes: {ran.result}", flush=True)
        passed = passed and ran.passed
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
