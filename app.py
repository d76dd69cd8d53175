"""vitviz, served: ``streamlit run app.py``."""

import streamlit as st

from vitviz.ui.problems import keep_incidents, report_error
from vitviz.ui.routes import routes

keep_incidents()
app = st.App("vitviz/ui/router.py", routes=routes(), on_script_error=report_error)

if __name__ == "__main__":
    app.run()
