"""What no source file may do: run code that came with data, or put a user's words into a page as markup."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(
    {ROOT / "app.py", *(path for top in ("vitviz", "pages", "benchmarks") for path in (ROOT / top).rglob("*.py"))}
)

FORBIDDEN_CALLS = {
    *("pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.load", "marshal.loads", "shelve.open", "joblib.load"),
    *("eval", "exec", "compile", "__import__", "runpy.run_path", "runpy.run_module"),
    *("yaml.load", "yaml.unsafe_load", "yaml.full_load", "os.system", "os.popen", "subprocess.getoutput"),
    *("subprocess.getstatusoutput", "shutil.unpack_archive", "torch.hub.load", "st.html", "st.iframe"),
}
FORBIDDEN_METHODS = {"extractall", "read_pickle", "load_state_dict_from_url"}
REQUIRED_KEYWORDS = {"torch.load": ("weights_only", True)}
FORBIDDEN_KEYWORDS = {("weights_only", False), ("allow_pickle", True), ("shell", True)}
FORBIDDEN_WORDS = {"unsafe_allow_html", "unsafe_allow_javascript"}
FORBIDDEN_MODULES = ("pickle", "yaml", "marshal", "shelve", "dill", "cloudpickle", "joblib")
FORBIDDEN_IN_SCRIPTS = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|https?://(?!www\.w3\.org/2000/svg)"
)

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
    ("torch", ".load(path)"),
    ("torch.load(path, weights_only", "=chosen)"),
    ("np.load(path, allow_pickle", "=chosen)"),
    ("subprocess.run(line, shell", "=chosen)"),
    ("pickle", ".Unpickler(file)"),
    ("from joblib", " import load"),
    ("pandas.read", "_pickle(path)"),
    ("shutil.unpack", "_archive(path)"),
    ("runpy.run", "_path(path)"),
    ("component('name', html", "=text)"),
    ("components.v1", ".html(text)"),
    ("st", ".iframe(address)"),
]


def faults(source: str) -> list[str]:
    """What is forbidden in a piece of Python, each as ``line: what``."""
    return [f"{node.lineno}: {fault}" for node in ast.walk(ast.parse(source)) if (fault := _fault(node))]


def _fault(node: ast.AST) -> str | None:
    if isinstance(node, ast.ImportFrom) and node.module in FORBIDDEN_MODULES:
        return f"from {node.module} import ..."
    if not isinstance(node, ast.Call):
        return None
    name = ast.unparse(node.func)
    if name in FORBIDDEN_CALLS or name.rpartition(".")[2] in FORBIDDEN_METHODS:
        return name
    if name.rpartition(".")[2] == "import_module" and not isinstance(node.args[0], ast.Constant):
        return f"{name} of a name that is not written there"
    if name.endswith("components.v1.html"):
        return name
    if name in REQUIRED_KEYWORDS and REQUIRED_KEYWORDS[name][0] not in [keyword.arg for keyword in node.keywords]:
        return f"{name} without {REQUIRED_KEYWORDS[name][0]}"
    return next((fault for keyword in node.keywords if (fault := _keyword_fault(keyword))), None)


def _keyword_fault(keyword: ast.keyword) -> str | None:
    """A forbidden value, or one that is not written there and so could be it."""
    names = {name for name, _ in FORBIDDEN_KEYWORDS}
    if not isinstance(keyword.value, ast.Constant):
        return f"{keyword.arg} of a value that is not written there" if keyword.arg in names | {"html"} else None
    if keyword.arg in FORBIDDEN_WORDS or (keyword.arg, keyword.value.value) in FORBIDDEN_KEYWORDS:
        return f"{keyword.arg}={keyword.value.value}"
    return None


@pytest.mark.parametrize("parts", SNIPPETS, ids="".join)
def test_the_scan_finds_what_is_forbidden(parts):
    assert len(faults("".join(parts))) == 1


@pytest.mark.parametrize(
    "allowed",
    [
        "model.eval()",
        "torch.load(path, weights_only=True)",
        "importlib.import_module('torchvision')",
        "re.compile(text)",
        "component('name', html='<div></div>')",
    ],
)
def test_the_scan_lets_pass_what_is_allowed(allowed):
    assert faults(allowed) == []


def test_no_source_file_does_what_is_forbidden():
    assert len(FILES) > 50
    found = {str(path.relative_to(ROOT)): bad for path in FILES if (bad := faults(path.read_text()))}
    assert found == {}


@pytest.mark.parametrize(
    "script", ["one.innerHTML = text", "document.write(text)", "eval(text)", "fetch('https://evil.example')"]
)
def test_the_scan_of_scripts_finds_what_is_forbidden(script):
    assert FORBIDDEN_IN_SCRIPTS.search(script)


def test_no_script_makes_markup_of_text_or_asks_another_host():
    scripts = [path for kind in ("js", "css", "svg") for path in (ROOT / "vitviz").rglob(f"*.{kind}")]
    assert len(scripts) > 10
    found = {path.name: bad for path in scripts if (bad := FORBIDDEN_IN_SCRIPTS.findall(path.read_text()))}
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
