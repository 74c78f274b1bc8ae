"""Command line: compares models by their predictions.csv on the same cases, every pair, Holm-corrected.

python -m scripts.evaluation.paired results/phantom_concat results/phantom_gated --metric auc
"""

from __future__ import annotations

import argparse
from pathlib import Path

from scripts.evaluation.metrics import METRICS, OVERALL
from scripts.evaluation.paired.pairs import compare_all


def main() -> None:
    """Read the arguments, compare and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, help="results folders with predictions.csv")
    parser.add_argument("--metric", choices=(*METRICS, *OVERALL), default="auc")
    parser.add_argument("--draws", type=int, default=2000, help="bootstrap resamples")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    files = {str(folder): folder / "predictions.csv" for folder in given.folders}
    try:
        rows = compare_all(files, given.metric, given.draws, given.seed)
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(str(error)) from None
    for row in rows:
        bounds = "" if row["lower"] is None else f" [{row['lower']:+.3f}, {row['upper']:+.3f}]"
        p = "" if row["p_value"] is None else f", p = {row['p_value']:.3g}, Holm {row['p_holm']:.3g}"
        print(
            f"{row['first']} {row['first_value']:.3f} - {row['second']} {row['second_value']:.3f}: "
            f"{row['difference']:+.3f}{bounds}{p}" + (f" ({row['note']})" if row["note"] else "")
        )
    first = rows[0]
    print(f"{given.metric}, {first['n']} cases of {first['n_patients']} patients, {first['method']}")


if __name__ == "__main__":
    main()
