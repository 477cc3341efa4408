"""Registers our environments when Gymnasium is imported, whichever of the two packages is imported first.

Gymnasium reads no entry points since its version 1.0: a package's environments are there once the package is imported,
or named as `package:id`. Importing Gymnasium here, for the case that it is wanted later, would cost every other user of
this package its time.
"""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType


def register_with_gymnasium() -> None:
    """Register the environments now if Gymnasium is imported already, and else as soon as it is."""
    if "gymnasium" in sys.modules:
        _register()
    elif not any(isinstance(finder, _AfterGymnasium) for finder in sys.meta_path):
        sys.meta_path.insert(0, _AfterGymnasium())


class _AfterGymnasium(MetaPathFinder):
    """Finds nothing itself: it waits until Gymnasium is run, not only looked up, to register the environments then."""

    def __init__(self) -> None:
        self._asking = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "gymnasium" or self._asking:
            return None
        self._asking = True  # the other finders are asked through `sys.meta_path`, where this one stands too
        try:
            spec = find_spec(fullname)
        finally:
            self._asking = False
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_register(module: ModuleType) -> None:
            execute(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
                _register()

        spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec


def _register() -> None:
    from cosmos_robot.envs.registration import register_envs

    register_envs()
