"""Choices among words: what an address says, whatever the language, and what a change of options does to them."""

from streamlit.testing.v1 import AppTest


def _script() -> None:
    import streamlit as st

    from vitviz.ui.choices import choose, choose_from

    st.session_state.setdefault("lang", "KO")
    st.text(choose("View", st.session_state.get("views", ["Map", "Curves"]), key="view"))
    st.text(choose_from("Run", [3, 4, 5], key="row", index=1, shown=lambda row: "Curves" if row == 5 else str(row)))


def _open(**query: str) -> AppTest:
    app = AppTest.from_function(_script)
    app.query_params.update(query)
    app.run()
    assert not app.exception
    return app


def _chosen(app: AppTest) -> list[str]:
    return [element.value for element in app.text]


def test_the_first_is_chosen_without_an_address_and_what_is_shown_is_said():
    app = _open()
    assert _chosen(app) == ["Map", "4"]
    assert app.segmented_control(key="view").options == ["지도", "곡선"]
    assert app.selectbox(key="row").options == ["3", "4", "곡선"]
    assert dict(app.query_params) == {}


def test_an_address_is_read_and_written_in_english_in_every_language():
    app = _open(view="Curves", row="5")
    assert _chosen(app) == ["Curves", "5"]
    app.segmented_control(key="view").set_value("Map").run()
    app.selectbox(key="row").set_value(3).run()
    assert _chosen(app) == ["Map", "3"]
    assert dict(app.query_params) == {"row": "3"}


def test_an_address_that_names_no_option_gives_the_first():
    assert _chosen(_open(view="곡선", row="77")) == ["Map", "4"]


def test_a_new_address_is_taken_over_and_an_old_one_does_not_undo_a_choice():
    app = _open(view="Curves")
    app.segmented_control(key="view").set_value("Map").run()
    assert _chosen(app.run())[0] == "Map"
    app.query_params["view"] = "Curves"
    assert _chosen(app.run())[0] == "Curves"


def test_a_choice_that_is_no_option_any_more_gives_way_to_the_first():
    app = _open(view="Curves")
    app.session_state["views"] = ["Steps", "Map"]
    assert _chosen(app.run())[0] == "Steps"
