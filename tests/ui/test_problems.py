"""What a person sees of an error, and what the log keeps."""

import logging
import re

from streamlit.testing.v1 import AppTest

from vitviz.ui.problems import keep_incidents


def _raise_three_problems() -> None:
    import streamlit as st

    from vitviz.errors import Problem
    from vitviz.ui.problems import shown_problems

    with shown_problems():
        raise Problem("cat [x](https://evil.example).png could not be read", "it ends after 12 bytes", "save it again")

    @shown_problems()
    def draw() -> None:
        raise Problem("a second one")

    draw()
    st.title("The page goes on")
    with shown_problems():
        raise KeyError("no problem of the user's")


def _report_two_errors() -> None:
    import streamlit as st

    from vitviz.errors import Problem
    from vitviz.ui.problems import report_error

    st.json([report_error(Problem("the run is gone", "", "choose another"))])
    try:
        raise ZeroDivisionError("a secret path /home/somebody")
    except ZeroDivisionError as error:
        st.json([report_error(error)])


def test_a_problem_is_one_sentence_where_it_happened_and_the_page_goes_on():
    app = AppTest.from_function(_raise_three_problems).run()
    sentence, second = (error.value.replace("\\", "").replace("\u2060", "") for error in app.error)
    assert sentence == "cat [x](https://evil.example).png could not be read: it ends after 12 bytes; save it again"
    assert "](" not in app.error[0].value
    assert second == "a second one"
    assert app.title[0].value == "The page goes on"


def test_what_is_no_problem_is_not_swallowed():
    assert len(AppTest.from_function(_raise_three_problems).run().exception) == 1


def test_a_reported_problem_is_its_sentence_and_is_taken_care_of():
    app = AppTest.from_function(_report_two_errors).run()
    assert app.error[0].value == "the run is gone; choose another"
    assert app.json[0].value == "[true]"


def test_any_other_error_is_a_number_that_leads_to_its_traceback_in_the_log(caplog):
    with caplog.at_level(logging.ERROR, logger="vitviz"):
        app = AppTest.from_function(_report_two_errors).run()
    assert app.json[1].value == "[true]"
    (record,) = [record for record in caplog.records if record.name == "vitviz"]
    (incident,) = re.findall(r"incident ([0-9a-f]{6})\)", app.error[1].value)
    assert incident in record.getMessage()
    assert isinstance(record.exc_info[1], ZeroDivisionError)
    assert "/home/somebody" not in app.error[1].value


def test_two_incidents_have_two_numbers():
    first, second = (AppTest.from_function(_report_two_errors).run().error[1].value for _ in range(2))
    assert first != second


def test_the_console_is_told_in_one_line_and_streamlits_copy_of_the_traceback_is_left_out(
    capsys, tmp_path, monkeypatch
):
    monkeypatch.setenv("VITVIZ_LOGS", str(tmp_path))
    told, logger = [], logging.getLogger("streamlit.error_util")
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())
    logger.addHandler(handler)
    try:
        keep_incidents()
        keep_incidents()
        logger.error("Uncaught app execution")
        logger.error("something else")
        app = AppTest.from_function(_report_two_errors).run()
    finally:
        logger.removeHandler(handler)
        logger.filters.clear()
    assert told == ["something else"]
    (incident,) = re.findall(r"incident ([0-9a-f]{6})\)", app.error[1].value)
    place = tmp_path / "vitviz.log"
    assert capsys.readouterr().err == f"vitviz: incident {incident}, ZeroDivisionError; {place} says what\n"
    assert incident in place.read_text()
