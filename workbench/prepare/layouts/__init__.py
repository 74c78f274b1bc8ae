"""How datasets lie on disk: one file per layout, with `find(source: Source) -> Found`, maybe `OPTIONS`."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules

from scripts.files.plain_text import listing
from workbench.prepare.layouts.found import Found, Source


def layout_names() -> list[str]:
    """Return the names of the layouts: the files of this package but `found`.

    >>> {"folders", "table", "found"} & set(layout_names()) == {"folders", "table"}
    True
    """
    return sorted(module.name for module in iter_modules(__path__) if module.name != "found")


def options_of(name: str) -> set[str]:
    """Return the options that only some layouts use, and this one does."""
    return getattr(import_module(f"{__name__}.{name}"), "OPTIONS", set())


def check_options(name: str, source: Source) -> None:
    """Refuse an option that the layout does not use, rather than ignore it."""
    used = {layout: options_of(layout) for layout in layout_names()}
    for option in sorted(set().union(*used.values()) - used[name]):
        if getattr(source, option):
            takers = [layout for layout, options in used.items() if option in options]
            raise ValueError(
                f"--{option} is an option of the layouts [{', '.join(takers)}], found with layout {name!r}; "
                "leave it out"
            )


def find_layout(name: str) -> Callable[[Source], Found]:
    """Return the `find` function of a layout."""
    if name not in layout_names():
        raise ValueError(
            f"layout {name!r} is not among {listing(str(name), layout_names())}; correct --layout"
        )
    return import_module(f"{__name__}.{name}").find
