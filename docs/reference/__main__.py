"""Write the generated reference pages: `python -m docs.reference`. A test compares them with the code."""

from pathlib import Path

from docs.reference.pages import PAGES

if __name__ == "__main__":
    for name, page in PAGES.items():
        path = Path(__file__).with_name(name)
        path.write_text(page())
        print(path)
