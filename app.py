"""vitviz, served: ``streamlit run app.py``."""

import streamlit as st

from vitviz.logs import keep_log
from vitviz.ui.problems import report_error
from vitviz.ui.routes import routes

keep_log()
app = st.App("vitviz/ui/router.py", routes=routes(), on_script_error=report_error)

if __name__ == "__main__":
    app.run()
