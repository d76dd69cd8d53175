"""The floors of docs/architecture.md: imports go downwards only, and heavy libraries stay where they belong."""

import ast
import graphlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

_BELOW_EXPLAIN = {"training", "runs", "data", "clustering", "nn", "config", "ranks", "errors"}
MAY_IMPORT = {
    "errors": set(),
    "ranks": {"errors"},
    "config": {"errors"},
    "nn": {"config", "errors"},
    "clustering": {"nn", "config", "ranks", "errors"},
    "data": {"clustering", "nn", "config", "errors"},
    "runs": {"data", "clustering", "nn", "config", "errors"},
    "training": _BELOW_EXPLAIN - {"training"},
    "explain": _BELOW_EXPLAIN,
    "logs": {"runs", "errors"},
    "figures": set(),
    "languages": set(),
    "lessons": {"runs", "config", "errors"},
    "share": {"figures", "explain", "languages"} | _BELOW_EXPLAIN,
    "ui": {"share", "figures", "explain", "logs", "languages", "lessons"} | _BELOW_EXPLAIN,
    "pages": {"ui", "figures", "explain"} | _BELOW_EXPLAIN,
    "app": {"ui", "figures", "explain"} | _BELOW_EXPLAIN,
    "doctor": {"explain", "logs"} | _BELOW_EXPLAIN,
    "exporting": {"share", "explain", "logs"} | _BELOW_EXPLAIN,
    "run_lines": {"runs", "errors"},
    "training_commands": {"run_lines"} | _BELOW_EXPLAIN,
    "commands": {"run_lines", "exporting", "share", "doctor", "explain", "lessons", "logs"} | _BELOW_EXPLAIN,
    "__main__": {"commands", "training_commands", "exporting", "share", "doctor", "explain", "logs"} | _BELOW_EXPLAIN,
}
"""Floor to the floors of vitviz it may import, besides itself."""

HEAVY = ("torch", "timm", "umap", "numba")
LIGHT_MODULES = (
    "vitviz",
    "vitviz.config",
    "vitviz.logs",
    "vitviz.doctor.report",
    "vitviz.commands",
    "vitviz.training_commands",
    "vitviz.ranks",
    "vitviz.languages.phrases",
    "vitviz.__main__",
    "vitviz.training.presets",
    "vitviz.data.decoding_apart",
    "vitviz.runs.folder",
    "vitviz.explain.deep_clustering",
    "vitviz.explain.teasers",
    "vitviz.ui.pickers",
    "vitviz.ui.home_teasers",
)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {
    module_name(path): ast.parse(path.read_text())
    for path in (ROOT / "app.py", *ROOT.glob("pages/**/*.py"), *ROOT.glob("vitviz/**/*.py"))
}


def imported_names(tree: ast.Module) -> set[str]:
    """Every name an import statement asks for, wherever it stands: ``from a import b`` gives ``a.b``."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names}
    return names


def imported_modules(tree: ast.Module) -> set[str]:
    """The modules of this project that ``tree`` imports."""
    found = set()
    for name in imported_names(tree):
        found |= {known for known in (name, name.rpartition(".")[0]) if known in SOURCES}
    return found


def floor_of(module: str) -> str:
    first, _, rest = module.partition(".")
    return rest.partition(".")[0] if first == "vitviz" else first


def importers_of(*libraries: str) -> set[str]:
    return {
        module
        for module, tree in SOURCES.items()
        if any(name.partition(".")[0] in libraries for name in imported_names(tree))
    }


def test_every_module_stands_on_a_known_floor():
    assert {floor_of(module) for module in SOURCES} - {""} <= set(MAY_IMPORT)
    assert {"pages.home", "app", "vitviz.runs.folder", "vitviz.training.loop", "vitviz.ui.pickers"} <= set(SOURCES)


def test_imports_go_downwards_only():
    upward = [
        f"{module} imports {target}"
        for module, tree in SOURCES.items()
        for target in sorted(imported_modules(tree))
        if floor_of(target) not in MAY_IMPORT.get(floor_of(module), set()) | {floor_of(module), ""}
    ]
    assert upward == []


def test_the_reader_of_imports_sees_those_inside_functions_and_of_submodules():
    tree = ast.parse(
        "def load():\n    from vitviz import runs\n    from vitviz.training import loop\n    import vitviz.config"
    )
    assert {"vitviz.runs", "vitviz.training.loop", "vitviz.config"} <= imported_modules(tree)


def test_imports_are_absolute():
    assert [module for module, tree in SOURCES.items() if any(n.startswith(".") for n in imported_names(tree))] == []


def test_no_module_imports_itself_by_way_of_others():
    graph = {module: imported_modules(tree) - {module} for module, tree in SOURCES.items()}
    packages = {module for module in SOURCES if any(other.startswith(f"{module}.") for other in SOURCES)}
    edges = {module: targets - packages for module, targets in graph.items()}
    graphlib.TopologicalSorter(edges).prepare()  # CycleError names the circle


def test_only_the_user_interface_imports_streamlit():
    assert {m for m in importers_of("streamlit") if floor_of(m) not in ("ui", "pages", "app")} == set()


def test_only_figures_import_plotly():
    assert {m for m in importers_of("plotly") if floor_of(m) != "figures"} == set()


def test_pages_compute_nothing_themselves():
    heavy = importers_of(*HEAVY, "torchvision", "plotly", "sklearn", "scipy")
    assert {m for m in heavy if floor_of(m) in ("pages", "app")} == set()


def test_packages_hold_a_docstring_and_nothing_else():
    inits = [path for path in ROOT.glob("vitviz/*/**/__init__.py") if len(ast.parse(path.read_text()).body) != 1]
    assert inits == []


@pytest.fixture(scope="module")
def loaded_by() -> dict[str, list[str]]:
    """Light module to the top-level packages that are loaded once it and those before it are imported."""
    code = (
        "import importlib, json, sys\n"
        "found = {}\n"
        f"for name in {LIGHT_MODULES!r}:\n"
        "    importlib.import_module(name)\n"
        "    found[name] = sorted({module.partition('.')[0] for module in sys.modules})\n"
        "print(json.dumps(found))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("module", LIGHT_MODULES)
def test_a_light_module_loads_no_heavy_library(loaded_by, module):
    assert set(loaded_by[module]) & set(HEAVY) == set()


def test_importing_vitviz_loads_no_streamlit(loaded_by):
    assert "streamlit" not in loaded_by["vitviz"]
    assert "streamlit" in loaded_by["vitviz.ui.pickers"]
