"""How the site is made of the pages of this folder and of the docstrings."""
