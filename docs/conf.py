"""Settings of the site: `python3 run.py docs` builds it into `build/docs`."""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

from bestdefense_async import __version__  # noqa: E402  # found by the line above

project = "bestdefense-async"
author = "The bestdefense-async authors"
project_copyright = author
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "_extension.house",
]
exclude_patterns = ["_extension"]

# Docstrings mark code with one backtick, like the pages.
default_role = "code"
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False

# Links to a heading of another page are checked: a wrong one is a warning, and a warning an error.
myst_heading_anchors = 3
myst_enable_extensions = ["attrs_block", "colon_fence", "deflist"]
myst_links_external_new_tab = False

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["house.css"]
html_title = "bestdefense-async"
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
