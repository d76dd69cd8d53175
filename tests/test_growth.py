"""The parts of benchmarks that compute: exponents, tables and charts. What they time is not tested."""

import math
import xml.etree.ElementTree as ET

import pytest

from benchmarks.growth import KINDS, Point, exponent, measure, series_of, table
from benchmarks.growth_chart import draw

NAMESPACE = "{http://www.w3.org/2000/svg}"


def power_law(kind: str, power: float, *, rival_power: float | None = None) -> list[Point]:
    def beside(number: int) -> float | None:
        return None if rival_power is None else 1e-4 * number**rival_power

    return [
        Point(kind, number, 1e-3 * number**power, beside(number), None) for number in (1_000, 3_000, 10_000, 60_000)
    ]


@pytest.mark.parametrize("power", [0.9, 1.0, 2.0])
def test_the_exponent_of_a_power_law_is_its_power(power):
    points = power_law("training", power, rival_power=2 * power)
    assert exponent(points) == pytest.approx(power)
    assert exponent(points, of_rival=True) == pytest.approx(2 * power)


def test_there_is_no_exponent_of_less_than_two_points():
    assert math.isnan(exponent(power_law("map", 1.0)[:1])) and math.isnan(
        exponent(power_law("map", 1.0), of_rival=True)
    )


def test_a_rival_that_was_not_measured_is_named_so_in_the_table():
    lines = table(power_law("map", 1.0)).splitlines()
    assert sum("not measured | not measured" in line for line in lines) == 4
    assert KINDS["map"].rival in lines[0]


def test_the_chart_has_a_panel_for_each_kind_with_its_points_and_is_well_formed():
    points = power_law("training", 1.0, rival_power=1.1) + power_law("affinity", 1.2, rival_power=2.0)
    root = ET.fromstring(draw(series_of(points)))
    panels = root.findall(f"{NAMESPACE}g")
    assert [len(panel.findall(f"{NAMESPACE}circle")) for panel in panels] == [8, 8]
    texts = " ".join(text.text for text in root.iter(f"{NAMESPACE}text"))
    assert "ours ∝ N^1.00 (1,000 to 60,000)" in texts and "rival ∝ N^1.10 (1,000 to 60,000): plain timm" in texts
    assert "ours ∝ N^1.20 (1,000 to 10,000)" in texts and KINDS["affinity"].title in texts


def test_a_small_measurement_gives_every_size_of_a_kind(capsys):
    points = measure(["kmeans", "affinity"], [60, 120])
    assert [(point.kind, point.num_images) for point in points] == [
        *(("kmeans", number) for number in (60, 120)),
        *(("affinity", number) for number in (60, 120)),
    ]
    assert all(point.ours >= 0 and point.rival >= 0 for point in points)
    assert capsys.readouterr().out.count("images:") == 4
