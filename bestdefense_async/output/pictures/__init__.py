"""The pictures of the report: SVG text made from a run, nothing else needed to see them."""
