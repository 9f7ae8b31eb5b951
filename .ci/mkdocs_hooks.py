"""Publish the repository's files that documentation pages link to.

Pages link to files outside docs/ by relative paths (`../configs/default.yaml`), which a code host follows. On the site such
files are served below `repository/`, as text. A link to a file that does not exist fails `mkdocs build --strict`.
"""

import logging
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

LINK = re.compile(r"(?<=\]\()(\.\./[^)#\s]+)(?=[)#])")
AS_TEXT = {".md", ".py", ""}  # served as text: pages of their own would have links of their own

log = logging.getLogger("mkdocs.hooks.repository_links")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add each linked file outside docs/ to the site."""
    root = Path(config.config_file_path).parent
    for page in files.documentation_pages():
        for link in LINK.findall(page.content_string):
            path = repository_path(page.src_uri, link)
            if not (root / path).is_file():
                log.warning("%s links to %s, which is not a file of the repository", page.src_uri, link)
            elif files.get_file_from_path(served_path(path)) is None:
                files.append(File.generated(config, served_path(path), abs_src_path=str(root / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links outside docs/ to the files that `on_files` added."""
    here = posixpath.dirname(page.file.src_uri)
    return LINK.sub(lambda match: posixpath.relpath(served_path(repository_path(page.file.src_uri, match[1])), here or "."), markdown)


def repository_path(page: str, link: str) -> str:
    """Resolve a page's link to a path in the repository."""
    return posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), link))


def served_path(path: str) -> str:
    """Return where the site serves a file of the repository."""
    return f"repository/{path}.txt" if posixpath.splitext(path)[1] in AS_TEXT else f"repository/{path}"
