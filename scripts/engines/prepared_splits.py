"""All cases of a training are prepared before its first epoch: what cannot be read is told at once."""

from __future__ import annotations

from scripts.cases.cache import NoCache
from scripts.engines.running import running_parser
from scripts.files.errors import error_chain
from scripts.files.workers import BadCases

SECTIONS = ("train", "validate", "test")


def prepare_splits() -> None:
    """Make the datasets of training, validation and test, which fills their caches.

    The test is read by no one before the training is over, but an image of it that cannot be read would then
    cost the whole training. Without a cache every case is prepared once and let go.

    Raises:
        BadCases: cases that cannot be prepared, of all three splits.
        RuntimeError: when called outside a configuration.
    """
    parser = running_parser()
    if parser is None:
        raise RuntimeError("prepare_splits() works only inside an expression of a bundle configuration")
    found: list[BadCases] = []
    total = 0
    for section in SECTIONS:
        if f"{section}#dataset" not in parser:
            continue
        try:
            dataset = parser.get_parsed_content(f"{section}#dataset")
            total += len(dataset)
            if isinstance(dataset, NoCache):
                dataset.check()
        except Exception as error:  # MONAI wraps what a constructor raises
            bad = next((one for one in error_chain(error) if isinstance(one, BadCases)), None)
            if bad is None or any(bad.lines == other.lines for other in found):
                raise  # in the second case it is dataset.json that cannot be used, whatever the split
            found.append(bad)
            total += bad.of if not isinstance(error, BadCases) else 0
    if found:
        lines = [line for bad in found for line in bad.lines]
        raise BadCases(lines, total, bad=sum(bad.bad for bad in found))
