"""The JavaScript and CSS files that lie beside the components."""

from pathlib import Path

_FOLDER = Path(__file__).parent


def read_assets(*names: str) -> str:
    """The named files one after the other, as one text for ``st.components.v2.component``."""
    return "\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in names)
