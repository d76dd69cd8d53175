"""The only package that imports streamlit: pickers, cached loaders, error boxes, own components."""
