"""The documentation agrees with the package. `mkdocs build --strict` in .ci/run checks links and references."""

import re

import edge_hoi

MAX_GLOSSARY_ENTRIES = 60


def test_the_api_page_documents_every_public_name(repository):
    page = (repository / "docs" / "api.md").read_text()
    documented = {path.rsplit(".", 1)[1] for path in re.findall(r"^::: (\S+)$", page, re.MULTILINE)} | {"EdgeHoiError"}
    assert set(edge_hoi.__all__) - documented == set()


def test_the_glossary_is_alphabetical_and_short(repository):
    page = (repository / "docs" / "glossary.md").read_text()
    terms = re.findall(r"^\| ([^|]+?) \|", page, re.MULTILINE)[1:]
    assert terms == sorted(terms, key=str.casefold)
    assert 0 < len(terms) <= MAX_GLOSSARY_ENTRIES


def test_the_newest_version_of_the_changelog_is_the_package_s_own(repository):
    versions = re.findall(r"^## \[(\d\S*)\] - \d{4}-\d\d-\d\d$", (repository / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == edge_hoi.__version__


def test_the_wheel_table_and_the_list_of_dependencies_have_every_runtime_dependency(repository):
    project = (repository / "pyproject.toml").read_text()
    (block,) = re.findall(r"^dependencies = \[\n(.*?)^\]", project, re.MULTILINE | re.DOTALL)
    names = re.findall(r'^  "([\w-]+)', block, re.MULTILINE)
    wheels = (repository / "docs" / "installation.md").read_text().partition("<!-- wheels: begin")[2]
    reasons = (repository / "docs" / "dependencies.md").read_text().partition("## Extras")[0]
    assert len(names) >= 10
    for name in names:
        assert f"\n| {name} |" in wheels, name
        assert re.search(rf"^\| {re.escape(name)}\b", reasons, re.MULTILINE), name
