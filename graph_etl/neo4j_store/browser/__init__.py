"""What investigators see in Neo4j Browser: guide, style sheet and saved queries, made of the query pack."""

from graph_etl.neo4j_store.browser.guide import Examples, find_examples, guide_html
from graph_etl.neo4j_store.browser.saved import FOLDER, saved_queries, style_sheet, write_folder
from graph_etl.neo4j_store.browser.serving import BrowserFiles, serve_browser_files

__all__ = [
    "FOLDER",
    "BrowserFiles",
    "Examples",
    "find_examples",
    "guide_html",
    "saved_queries",
    "serve_browser_files",
    "style_sheet",
    "write_folder",
]
