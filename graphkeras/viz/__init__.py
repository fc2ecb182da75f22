"""Pictures of graphs. This package reads graphs; the compiler does not depend on it."""

from graphkeras.viz.dot import to_dot
from graphkeras.viz.html import to_html
from graphkeras.viz.render import PictureError, explain, write_picture

__all__ = ["PictureError", "explain", "to_dot", "to_html", "write_picture"]
