"""The pictures of ``README.md`` and ``docs/``, drawn anew from the app as it is: ``python -m benchmarks.screenshots [NAME ...]``.

Every picture is a link into the app over what is shipped, in a screen of 1440 x 900 or of a telephone, light and dark; nothing
moves while it is taken. Written as WebP into ``docs/pictures/NAME-light.webp`` and ``NAME-dark.webp``.
"""

import io
import sys
from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image

from benchmarks.startup import CHROMIUM, RESTED, ROOT, _Server

FOLDER = ROOT / "docs" / "pictures"
DESK, PHONE = (1440, 900), (390, 844)
_DIGITS = "deep_clustering?run=digits"
_FILM = "deep_clustering?run=digits-supertoken&view=Map&image=1658"
_BELOW_MAP = "Drag to select"
DONE = ".film-strip .picture[aria-label^='The super tokens']"
_STEPS = "subspace?run=digits-subspace-steps"


class Shot(NamedTuple):
    """What is opened, on a screen of how many pixels, which words come to its middle, and which button is pressed first."""

    address: str
    size: tuple[int, int] = DESK
    at: str = ""
    press: str = ""


SHOTS = {
    "home": Shot(""),
    "lesson": Shot("deep_clustering?lesson=1-feedback&at=3&present=1"),
    "supertokens": Shot("supertokens?photo=cat&view=Map&pin=450_400"),
    "attention": Shot("attention?photo=cat&pin=450_400"),
    "map": Shot(f"{_DIGITS}&view=Map&round=6", at=_BELOW_MAP),
    "cifar": Shot("deep_clustering?run=cifar10-laptop&view=Map&round=5", at=_BELOW_MAP),
    "seeds": Shot("deep_clustering?run=cifar10-laptop&view=Map&round=5&color=stability", at=_BELOW_MAP),
    "film": Shot(_FILM, at="nearest", press="Look where the network of each round looks"),
    "river": Shot("deep_clustering?run=digits-half-trained&view=River", at="Each column is a round"),
    "curves": Shot(f"{_DIGITS}&view=Curves&zoom=true"),
    "clusters": Shot(f"{_DIGITS}&view=Clusters"),
    "movers": Shot(f"{_DIGITS}&view=Movers", at="The ledger, class by class"),
    "subspace": Shot(f"{_STEPS}&view=Affinity&layer=affinity&order=clusters"),
    "equaliser": Shot(f"{_STEPS}&view=Equaliser&gain_1=0"),
    "coat": Shot("coat?network=Trained+run&run=clothing-coat&view=Clusters&photo=cat&pin=450_400"),
    "compare": Shot("compare"),
    "train": Shot("train"),
    "runs": Shot("runs"),
    "korean": Shot(f"{_DIGITS}&view=Curves&lang=KO"),
    "phone": Shot(f"{_DIGITS}&view=Map&round=6", PHONE),
}


def draw(names: Sequence[str]) -> None:
    """Take the shots of those names, each light and dark."""
    from playwright.sync_api import sync_playwright

    FOLDER.mkdir(exist_ok=True)
    with _Server(ROOT / "app.py") as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--use-angle=swiftshader"])
        for name in names:
            for scheme in ("light", "dark"):
                path = FOLDER / f"{name}-{scheme}.webp"
                _save(_taken(browser, server.address, SHOTS[name], scheme), path)
                print(f"{path.relative_to(ROOT)} {path.stat().st_size / 1e3:.0f} kB")
        browser.close()


def _taken(browser, server: str, shot: Shot, scheme: str) -> bytes:
    """The screen as PNG, once nothing runs and nothing is still to be drawn."""
    width, height = shot.size
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto(f"{server}/{shot.address}")
    page.wait_for_selector("[data-testid=stMain] h1", timeout=120_000)
    if shot.press:
        page.get_by_role("button", name=shot.press).or_(page.locator(DONE)).first.wait_for(timeout=120_000)
        if not page.locator(DONE).count():  # the server keeps what was asked for before
            page.get_by_role("button", name=shot.press).click()
            page.locator(DONE).first.wait_for(timeout=120_000)
    for _ in range(2):
        page.wait_for_selector(RESTED, timeout=120_000)
        page.wait_for_function(
            "() => !document.querySelector('[data-testid=stSkeleton], [data-testid=stSpinner], [class*=st-key-stop_]')"
        )
        page.wait_for_load_state("networkidle")
    if shot.at:
        page.get_by_text(shot.at).first.evaluate("(element) => element.scrollIntoView({ block: 'center' })")
    page.mouse.move(0, 0)
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    picture = page.screenshot()
    context.close()
    return picture


def _save(png: bytes, path) -> None:
    Image.open(io.BytesIO(png)).convert("RGB").save(path, quality=80, method=6)


if __name__ == "__main__":
    asked = sys.argv[1:] or list(SHOTS)
    unknown = [name for name in asked if name not in SHOTS]
    if unknown:
        sys.exit(f"no picture is named {unknown[0]}; there are {', '.join(SHOTS)}")
    draw(asked)
