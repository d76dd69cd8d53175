"""Own Streamlit components: a Python wrapper each, with plain JavaScript and CSS beside it."""
