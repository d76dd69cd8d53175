"""What no source file may do: run code that came with data, or put a user's words into a page as markup."""

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(
    {ROOT / "app.py", *(path for top in ("vitviz", "pages", "benchmarks") for path in (ROOT / top).rglob("*.py"))}
)

FORBIDDEN_CALLS = {
    "pickle.load",
    "pickle.loads",
    "eval",
    "exec",
    "yaml.load",
    "os.system",
    "st.html",
    "__import__",
}
FORBIDDEN_METHODS = {"extractall"}
FORBIDDEN_KEYWORDS = {("weights_only", False), ("allow_pickle", True), ("shell", True)}
FORBIDDEN_WORDS = {"unsafe_allow_html"}

SNIPPETS = [
    ("pickle", ".load(file)"),
    ("pickle", ".loads(content)"),
    ("from pickle", " import loads"),
    ("torch.load(path, weights_only", "=False)"),
    ("np.load(path, allow_pickle", "=True)"),
    ("eval", "(text)"),
    ("exec", "(text)"),
    ("yaml", ".load(file)"),
    ("archive.extract", "all(folder)"),
    ("subprocess.run(line, shell", "=True)"),
    ("os", ".system(line)"),
    ("st.markdown(text, unsafe_allow", "_html=True)"),
    ("st", ".html(text)"),
    ("__import", "__(name)"),
    ("importlib", ".import_module(name)"),
    ("import_module", "(f'vitviz.{name}')"),
]


def faults(source: str) -> list[str]:
    """What is forbidden in a piece of Python, each as ``line: what``."""
    return [f"{node.lineno}: {fault}" for node in ast.walk(ast.parse(source)) if (fault := _fault(node))]


def _fault(node: ast.AST) -> str | None:
    if isinstance(node, ast.ImportFrom) and node.module in ("pickle", "yaml"):
        return f"from {node.module} import ..."
    if not isinstance(node, ast.Call):
        return None
    name = ast.unparse(node.func)
    if name in FORBIDDEN_CALLS or name.rpartition(".")[2] in FORBIDDEN_METHODS:
        return name
    if name.rpartition(".")[2] == "import_module" and not isinstance(node.args[0], ast.Constant):
        return f"{name} of a name that is not written there"
    for keyword in node.keywords:
        value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
        if keyword.arg in FORBIDDEN_WORDS or (keyword.arg, value) in FORBIDDEN_KEYWORDS:
            return f"{keyword.arg}={value}"
    return None


@pytest.mark.parametrize("parts", SNIPPETS, ids="".join)
def test_the_scan_finds_what_is_forbidden(parts):
    assert len(faults("".join(parts))) == 1


@pytest.mark.parametrize(
    "allowed", ["model.eval()", "torch.load(path, weights_only=True)", "importlib.import_module('torchvision')"]
)
def test_the_scan_lets_pass_what_is_allowed(allowed):
    assert faults(allowed) == []


def test_no_source_file_does_what_is_forbidden():
    assert len(FILES) > 50
    found = {str(path.relative_to(ROOT)): bad for path in FILES if (bad := faults(path.read_text()))}
    assert found == {}


def test_no_source_file_is_ignored_by_git():
    names = [str(path.relative_to(ROOT)) for path in (*FILES, *(ROOT / "tests").rglob("*.py"))]
    try:
        asked = subprocess.run(["git", "-C", ROOT, "check-ignore", *names], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no git here")
    if asked.returncode == 128:
        pytest.skip("this is no git checkout")
    assert asked.stdout.splitlines() == []
