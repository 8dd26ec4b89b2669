"""The build hook: compiles the kernels into the wheel, and beside their source where the install is editable.

Without a compiler there is a warning and a wheel of Python alone, ``py3-none-any``.
"""

from __future__ import annotations

import importlib.util
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_KERNELS = Path("src/cartloader_image/kernels")
_ZIG = {("linux", "x86_64"), ("linux", "aarch64"), ("macosx", "x86_64"), ("macosx", "arm64")}
"""System and processor for which there is a wheel of ziglang."""


class KernelHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the library and names the platform."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Compile, before the files are collected."""
        if self.target_name != "wheel":
            return
        if problem := self._build().build():
            self.app.display_warning(f"the kernels are not built: {problem}; imports take about twice as long")
            return
        build_data["artifacts"].append(f"/{_KERNELS}/_kernels.so")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"

    def dependencies(self) -> list[str]:
        """A compiler, where the system has none and there is one to be had."""
        system, *_, processor = sysconfig.get_platform().split("-")
        wanted = self.target_name == "wheel" and self._build().compiler() is None and (system, processor) in _ZIG
        return ["ziglang>=0.13,<1"] if wanted else []

    def _build(self) -> ModuleType:
        spec = importlib.util.spec_from_file_location("build", Path(self.root) / _KERNELS / "build.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
