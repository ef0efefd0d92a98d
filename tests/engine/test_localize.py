import textwrap

import pytest

from engine.contract import Issue
from engine.line_format import MAX_LINES
from engine.localize import localize

FILES = {
    "shop/cart.py": """
        class Cart:
            def total_price(self, items):
                total = 0
                for item in items:
                    total += item.price
                return total

            def add(self, item):
                self.items.append(item)
    """,
    "shop/mail.py": """
        def send_receipt(cart):
            message = "thank you"
            return message
    """,
    "tests/test_cart.py": "def test_total_price():\n    assert False\n",
    "docs/conf.py": "def total_price():\n    pass\n",
}


@pytest.fixture
def checkout(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip())
    return tmp_path


def issue(body, title="wrong"):
    return Issue(number=1, title=title, body=body)


def names(context):
    return [span.name for span in context.focus]


def test_a_function_named_in_code_comes_first(checkout):
    assert (
        names(localize(issue("`total_price` ignores the discount"), checkout))[0] == "total_price"
    )


def test_plain_words_are_matched_against_identifiers(checkout):
    assert (
        names(localize(issue("the receipt that we send is empty"), checkout))[0] == "send_receipt"
    )


def test_the_innermost_frame_of_a_traceback_wins(checkout):
    body = (
        'File "/app/shop/mail.py", line 1, in send_receipt\n'
        'File "/app/shop/cart.py", line 9, in add\nAttributeError'
    )
    assert names(localize(issue(body, "crash"), checkout))[:2] == ["add", "send_receipt"]


def test_tests_and_docs_are_never_shown(checkout):
    context = localize(issue("total_price"), checkout)
    assert {file.path for file in context.files} <= {"shop/cart.py", "shop/mail.py"}


def test_functions_that_the_failing_example_never_entered_are_left_out(checkout):
    context = localize(issue("`send_receipt`"), checkout, {"shop/cart.py": frozenset({3, 4})})
    assert names(context) == ["total_price"]


def test_executed_lines_are_widened_to_whole_statements(tmp_path):
    (tmp_path / "m.py").write_text(
        "def f(a):\n    x = (\n        a +\n        1\n    )\n    if a:\n        return 1\n    return x\n"
    )
    context = localize(issue("`f`"), tmp_path, {"m.py": frozenset({2, 6})})
    assert context.executed["m.py"] == frozenset({2, 3, 4, 5, 6})


def test_a_long_function_comes_as_windows_that_the_example_entered(tmp_path):
    body = "".join(f"    x{n} = {n}\n" for n in range(200))
    (tmp_path / "m.py").write_text(f"def f():\n{body}    return 0\n")
    context = localize(issue("`f`"), tmp_path, {"m.py": frozenset({150})})
    (span,) = context.focus
    assert span.start <= 150 <= span.end
    assert span.end - span.start < MAX_LINES


def test_a_checkout_without_python_gives_an_empty_context(tmp_path):
    (tmp_path / "README").write_text("nothing")
    assert localize(issue("x"), tmp_path).files == ()


def test_files_that_do_not_parse_or_are_links_do_no_harm(checkout):
    (checkout / "shop" / "broken.py").write_text("def (:\n")
    (checkout / "shop" / "link.py").symlink_to("/etc/passwd")
    assert "total_price" in names(localize(issue("total_price"), checkout))
