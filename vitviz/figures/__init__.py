"""Arrays to plotly figures. Imports nothing of vitviz but its own theme."""
