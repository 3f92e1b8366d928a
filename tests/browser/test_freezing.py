"""`%mcp_freeze` in a real JupyterLab: the code appears in the next cell and runs there."""

import shutil

import pytest

from tests.browser.lab import REPO, Lab, write_notebook

pytestmark = pytest.mark.browser


def test_the_code_appears_in_the_next_cell_and_runs(light_lab: Lab, pictures):
    shutil.copy(REPO / "notebooks" / "data" / "shop.db", light_lab.folder)
    connect = "%load_ext mcp_notebook\n%mcp_connect shop mcp-notebook serve database --url sqlite:///shop.db"
    query = "%%mcp_sql shop --into countries\nselect country, count(*) as n from customers group by country"
    write_notebook(
        light_lab.folder / "freeze.ipynb",
        [connect, query, "%mcp_freeze countries", "countries.n.sum()"],
    )
    with light_lab.open("freeze.ipynb") as page:
        for cell in range(3):
            page.run(cell)
        page.page.wait_for_function(
            "() => document.querySelectorAll('.jp-Notebook .jp-Cell').length === 5"
        )
        page.run(3)
        page.run(4)
        page.screenshot(pictures / "freeze.png")
        saved = page.save()
    assert "countries = shop.query_database(" in "".join(saved["cells"][3]["source"])
    assert "countries: as frozen, 8 rows" in str(saved["cells"][3]["outputs"])
    assert "1200" in str(saved["cells"][4]["outputs"])
