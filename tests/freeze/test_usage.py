"""Which tables a cell of code uses: in Python, in SQL over them, in magics; not in
texts or in others' SQL.
"""

import pytest

from mcp_notebook.freeze.select_calls import names_in


@pytest.mark.parametrize(
    "source",
    [
        "orders.plot()", "x = f(a=orders)", "%mcp_preview orders", "%mcp_share customers orders",
        "%%mcp_sql notebook --into x\nselect * from orders", "%%time\norders.sum()", "%time orders.sum()",
        "mcp_notebook.sql('select * from orders')", "f'{orders}'", "orders", "if x:\n    %time orders.sum()",
        "%%capture out\n%%time\norders", "this is no python about orders",
    ],
)  # fmt: skip
def test_a_cell_that_uses_the_table(source):
    assert "orders" in names_in(source)


@pytest.mark.parametrize(
    "source",
    [
        "df['orders']", "# orders", "%%mcp_sql shop\nselect * from orders", "%%claude\nWhat of orders?",
        '%mcp_call shop.query {"sql": "select * from orders"}', "%mcp_freeze orders", "x.orders", "print('orders')", "",
    ],
)  # fmt: skip
def test_a_cell_that_does_not(source):
    assert "orders" not in names_in(source)
