"""Settings of the site, which `make docs` builds.

The root of the repository is the source, so that the pages link to each other
and to the programs as they do on a code host. The pages of the reference are
written here, from the docstrings. Nothing is fetched from a network.
"""

import os
import pathlib
import sys
import zlib

# The extensions beside this file, and the package itself.
HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
os.environ["PYTHONPATH"] = str(HERE.parent)

from building import reference  # noqa: E402

import keras_sat  # noqa: E402

reference.write()

project = "keras_sat"
author = "The keras_sat authors"
copyright = "The keras_sat authors"
version = release = keras_sat.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "building.docstrings",
    "building.links",
    "building.mathml",
]
root_doc = "docs/index"
include_patterns = [
    "docs/**",
    "benchmarks/README.md",
    "examples/README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "keras_sat/pretrained/networks/*/card.md",
    "tests/fixtures/fashion_mnist_convex.md",
]
exclude_patterns = [".*", "build", "dist", "outputs", "site"]

# Anchors as code hosts make them, and formulas between dollars.
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
# A test looks after the trees; a page on a fixture needs no place in them.
suppress_warnings = ["toc.not_included"]

# Notebooks run when the site is built. What they gave is kept, and used again
# as long as neither they nor the package change.
sources = sorted((HERE.parent / "keras_sat").rglob("*.py"))
fingerprint = zlib.crc32(b"".join(path.read_bytes() for path in sources))
nb_execution_mode = "cache"
nb_execution_cache_path = str(
    HERE.parent / "site" / ".jupyter_cache" / f"{fingerprint:08x}"
)
nb_execution_timeout = 240
nb_execution_raise_on_error = True
nb_merge_streams = True
# TensorFlow and Keras write there what has nothing to do with a page.
nb_output_stderr = "remove"

autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_numpy_docstring = False
napoleon_use_rtype = False
add_module_names = False
toc_object_entries_show_parents = "hide"
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"keras_sat {release}"
html_math_renderer = "mathml"
html_static_path = ["static"]
html_css_files = ["site.css"]
# A page that leads from the top of the site to its first page.
html_extra_path = ["redirect"]
html_show_sphinx = False
copybutton_exclude = ".linenos, .gp, .go"
pygments_style = "friendly"
pygments_dark_style = "github-dark"
