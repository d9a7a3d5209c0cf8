"""HTML becomes Markdown as a browser would show it."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.documents.html import html_to_markdown


def markdown(html: str) -> str:
    return html_to_markdown(html).text


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<head><title>T</title><link href=a><body><h1>Pump</h1><p>Oil it.", "# Pump\n\nOil it."),
        ("<nav><a href=/>Home</a><main><p>It holds 40 l.</main>", "It holds 40 l."),
        ("<p>Intro.</p><nav><a>Home</a><a>Shop</a><p>It holds 40 l.</p>", "Intro.\n\nIt holds 40 l."),
        ("<nav><a>Home</a></nav><p>Text.</p><aside>Ad</aside><footer>Imprint</footer>", "Text."),
        ("<header><a>Logo</a><h1>Pump</h1></header><div role=navigation>x</div>Text", "# Pump\n\nText"),
        ("<footer>Only this</footer>", "Only this"),
        ("<p hidden>no</p><p style='display: none'>no</p><script>no</script>yes<!-- no -->", "yes"),
        ("a<br>b<p>c&shy;d\u200be &nbsp; f", "a\nb\n\ncde f"),
        ("<p>- 5 °C<p># no head<p>| no table", "\\- 5 °C\n\n\\# no head\n\n\\| no table"),
        ("10<sup>6</sup> CO<sub>2</sub> <s>19 €</s>15 € a<b>b</b>", "10⁶ CO₂ ~~19 €~~ 15 € ab"),
        ("<ul><li>one<ul><li>in<li>in 2</ul><li>two</ul>", "- one\n  - in\n  - in 2\n- two"),
        ("<ol start=3><li>c<p>more</p><li>d</ol>", "3. c\n\n   more\n4. d"),
        ("<dl><dt>Weight<dd>7 kg<dt>A<dt>B<dd>c</dl>", "- Weight: 7 kg\n- A, B: c"),
        ("<pre><code>x = 1\n  y</code></pre>", "```\nx = 1\n  y\n```"),
        ("<blockquote><p>a<p>b</blockquote>", "> a\n>\n> b"),
        ("<ruby>漢<rp>(<rt>kan<rp>)</ruby>字", "漢字"),
        ("", ""),
    ],
)  # fmt: skip
def test_elements_become_blocks(html: str, text: str) -> None:
    assert markdown(html) == text


@pytest.mark.parametrize(
    ("html", "rows"),
    [
        ("<tr><th>A<th>B<tr><td>1<td>2", ["| A | B |", "| 1 | 2 |"]),
        ("<tr><td>Model<td>Price<td>Kg<tr><td>x<td>1<td>2", ["| Model | Price | Kg |", "| x | 1 | 2 |"]),
        ("<tr><th>Life<td>3 years<tr><th>Kg<td>7", ["|  |  |", "| Life | 3 years |", "| Kg | 7 |"]),
        (
            "<thead><tr><th rowspan=2>M<th colspan=2>Price<tr><th>Net<th>Gross</thead>"
            "<tr><td rowspan=2>A<td>1<td>2<tr><td>3|4<td>5",
            ["| M | Price Net | Price Gross |", "| A | 1 | 2 |", "| A | 3\\|4 | 5 |"],
        ),
        ("<tr><th>A<th>B<tr><td><ul><li>x<li>y</ul><td><p>p<p>q", ["| A | B |", "| x; y | p q |"]),
        ("<tr><td><th scope=col>A<th>B<tr><th>x<td>1<td>2", ["|  | A | B |", "| x | 1 | 2 |"]),
        ("<tr><th>Colour<td>red<tr><th>Weight<td>7 kg", ["|  |  |", "| Colour | red |", "| Weight | 7 kg |"]),
        (
            "<tr><td rowspan=2><b>M</b><td colspan=2>Price<tr><td>Net<td>Gross<tr><td>A<td>1<td>2",
            ["| M | Price Net | Price Gross |", "| A | 1 | 2 |"],
        ),
        (
            "<tr><th>Plan<th>EUR<tr><th colspan=2>Home<tr><td>Solo<td>9<tr><td>Duo<td>12",
            ["|  | Plan | EUR |", "| Home | Solo | 9 |", "| Home | Duo | 12 |"],
        ),
        (
            "<tr><th>Room<th>Holds<tr><td>A1<td><table><tr><th>Thing<th>No<tr><td>Chair<td>12</table>"
            "<tr><td>B2<td><pre>run x</pre>",
            ["| Room | Holds |", "| A1 | Thing: Chair, No: 12 |", "| B2 | `run x` |"],
        ),
    ],
)  # fmt: skip
def test_tables_keep_their_rows(html: str, rows: list[str]) -> None:
    lines = markdown(f"<table>{html}</table>").split("\n")
    assert [lines[0], *lines[2:]] == rows
    assert set(lines[1]) == {"|", "-"}


def test_a_table_of_layout_is_no_table() -> None:
    inner = "<table><tr><th>Plan<th>EUR<tr><td>Solo<td>9</table>"
    assert markdown(f"<table><tr><td>Left{inner}<td>Right</table>") == (
        "Left\n\n| Plan | EUR |\n|---|---|\n| Solo | 9 |\n\nRight"
    )
    prose = "The pool opens at nine and closes at eight on every day of the week but Monday. " * 2
    assert markdown(f"<table><tr><td>{prose}<td>Towels cost two euros.</table>").startswith(prose.strip())
    assert markdown("<table role=presentation><tr><td>Left<td>Right</table>") == "Left\n\nRight"


@given(st.text(alphabet='<>/"= &;-!abdhilnoprtuv1\n', max_size=200))
def test_no_text_raises(html: str) -> None:
    html_to_markdown(html)


@pytest.mark.alone
@pytest.mark.parametrize(
    "piece",
    ["<div>", "<b>x", "<p>a", "<font a=1>x<p>", "<table><tr><td>", "<ul><li>", "<dl><dt>", "<nav>", "<",
     "<!--", '<a href="', "<a>x<p>", "<script>", "<td colspan=1000 rowspan=1000>x"],
)  # fmt: skip
def test_time_grows_with_the_length(piece: str) -> None:
    def taken(size: int) -> float:
        page = piece * (size // len(piece))
        begun = time.process_time()
        html_to_markdown(page)
        return time.process_time() - begun

    taken(100)
    assert min(taken(80_000), taken(80_000)) < 25 * max(taken(10_000), taken(10_000)) + 0.05
